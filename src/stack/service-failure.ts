import type { ContainerDetails, EngineClient } from '../client/index.ts';
import { describeError, type ErrorCode, isKind, TscError } from '../core/index.ts';

/** A failed create in words that name the service. */
export function explainCreateFailure(error: unknown, service: string, container: string): unknown {
  // Other kinds say who is to act: the engine, the user who interrupts, whoever removed the image or took the name.
  if (!isKind(error, 'invalid') && !isKind(error, 'failed')) return error;
  return new TscError('stack/failed', `service ${service}: cannot create ${container}: ${describeError(error)}`, {
    hint: `change service ${service} in the compose file`,
    cause: error,
    subject: ['services', service],
  });
}

/** A failed start in words that name the service, and a next step where the engine's words allow one. */
export function explainStartFailure(error: unknown, service: string, container: string): unknown {
  if (!(error instanceof TscError) || isKind(error, 'unavailable') || isKind(error, 'cancelled')) return error;
  const words = describeError(error);
  // The Engine API has no code for this; its words are the only sign.
  const portInUse = /already (?:in use|used|allocated)|port .* in use/i.test(words);
  return new TscError(
    portInUse ? 'stack/in-use' : 'stack/failed',
    `service ${service}: cannot start ${container}: ${words}`,
    {
      hint: portInUse
        ? 'stop what uses the port, or publish another one in the compose file (ports)'
        : `the container exists and stays stopped; tscompose up tries again, tscompose rm ${service} removes it`,
      cause: error,
      subject: ['services', service, ...(portInUse ? ['ports'] : [])],
    },
  );
}

/** A container that ended although it should run or end well: exit code in words and its last lines. */
export async function explainExit(
  client: EngineClient,
  service: string,
  details: ContainerDetails,
  expectation: string,
): Promise<TscError> {
  const again = details.state === 'restarting' ? ' and is being restarted' : '';
  return new TscError(
    'stack/failed',
    `service ${service}: container ${details.name} exited with ${describeExit(details)}${again}; ${expectation}`,
    { hint: await lastLines(client, details), subject: ['services', service] },
  );
}

/** A probe that never succeeded: what it runs, what it said last, and the container's last lines. */
export async function explainUnhealthy(
  client: EngineClient,
  service: string,
  details: ContainerDetails,
  verdict: string,
  code: ErrorCode = 'stack/failed',
): Promise<TscError> {
  const probe = details.probes.at(-1);
  const test = details.healthTest.slice(1).join(' ');
  const said = probe
    ? `last probe${test && ` (${test})`} exited with ${probe.exitCode}: ${probe.output.trim() || 'no output'}`
    : 'no probe has ended yet';
  return new TscError(code, `service ${service}: container ${details.name} ${verdict}; ${said}`, {
    hint: await lastLines(client, details),
    subject: ['services', service, 'healthcheck'],
  });
}

const SIGNAL_WORDS: Readonly<Record<number, string>> = {
  125: ' (the engine could not run it)',
  126: ' (the command cannot be executed)',
  127: ' (command not found)',
  134: ' (SIGABRT)',
  137: ' (SIGKILL)',
  139: ' (SIGSEGV)',
  143: ' (SIGTERM)',
};

/** `code 137 (out of memory)` */
export function describeExit(details: Pick<ContainerDetails, 'exitCode' | 'oomKilled' | 'error'>): string {
  const words = details.oomKilled ? ' (killed: out of memory)' : (SIGNAL_WORDS[details.exitCode] ?? '');
  return `code ${details.exitCode}${words}${details.error ? `: ${details.error}` : ''}`;
}

async function lastLines(client: EngineClient, details: ContainerDetails): Promise<string> {
  const chunks: Buffer[] = [];
  // What an earlier run wrote would point at the wrong cause.
  const since = (Math.floor(Date.parse(details.startedAt) || 0) / 1000).toFixed(3);
  try {
    for await (const { data } of client.containerLogs(details.id, { tail: 10, tty: details.tty, since }))
      chunks.push(data);
  } catch (error) {
    return `its log cannot be read: ${describeError(error)}`;
  }
  const text = Buffer.concat(chunks).toString('utf8').trimEnd();
  return text ? `last lines of ${details.name}:\n${text.replace(/^/gm, '  ')}` : `${details.name} has written nothing`;
}
