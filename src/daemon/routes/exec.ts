import { PassThrough } from 'node:stream';
import { type ExecInspect, formatAttachFrame } from '../../api/index.ts';
import { TscError } from '../../core/index.ts';
import type { ExecDetails, ExecSession } from '../../engine/index.ts';
import { parseDetachKeys } from '../detach-keys.ts';
import { messageOf } from '../http-errors.ts';
import { type ApiResponse, empty, type HijackSession, json } from '../http-message.ts';
import { type Route, type RouteCall, route } from '../match-route.ts';
import { terminalSize } from '../query-values.ts';
import { readJsonBody } from '../read-body.ts';
import { outputType } from '../stream-types.ts';
import { present } from '../translate/present.ts';
import { readConsoleSize } from '../translate/read-host-config.ts';
import { withDetachKeys } from './container-streams.ts';

/** Further processes in running containers. */
export const execRoutes: readonly Route[] = [
  route('POST', '/containers/{id}/exec', create),
  route('POST', '/exec/{id}/start', start),
  route('POST', '/exec/{id}/resize', resize),
  route('GET', '/exec/{id}/json', ({ services, param }) => json(execView(services.engine.exec.inspect(param('id'))))),
];

async function create({ request, services, param }: RouteCall) {
  const body = await readJsonBody(request);
  const command = body.words('Cmd') ?? [];
  if (command.length === 0) throw new TscError('daemon/invalid', 'no exec command was given');
  const detachKeys = body.string('DetachKeys') ?? '';
  parseDetachKeys(detachKeys);
  const id = await services.engine.exec.create(
    param('id'),
    present({
      command,
      env: body.strings('Env'),
      user: body.string('User') || undefined,
      workdir: body.string('WorkingDir') || undefined,
      tty: body.boolean('Tty'),
      attachStdin: body.boolean('AttachStdin'),
      attachStdout: body.boolean('AttachStdout'),
      attachStderr: body.boolean('AttachStderr'),
      privileged: body.boolean('Privileged'),
      detachKeys: detachKeys || undefined,
      consoleSize: readConsoleSize(body.integers('ConsoleSize')),
    }),
  );
  return json({ Id: id }, 201);
}

async function start({ request, services, param, version }: RouteCall): Promise<ApiResponse> {
  const body = await readJsonBody(request);
  const { exec } = services.engine;
  const { spec } = exec.inspect(param('id'));
  const size = readConsoleSize(body.integers('ConsoleSize'));
  const tty = spec.tty ?? false;
  if (body.boolean('Detach') ?? false) {
    await exec.startDetached(param('id'));
    return empty(200);
  }
  const session = exec.start(param('id'));
  // A process that is gone already has no terminal to resize.
  if (size && tty) session.started.then(() => exec.resize(param('id'), size.rows, size.columns)).catch(() => undefined);
  const untilExit: HijackSession = {
    input: session.input,
    output: outputOf(session),
    endsInput: !session.tty,
    done: session.done,
    close: () => session.close(),
  };
  const keys = parseDetachKeys(spec.detachKeys ?? '');
  const joined = session.tty && spec.attachStdin ? withDetachKeys(untilExit, keys) : untilExit;
  return { kind: 'hijack', contentType: outputType(session.tty, version), session: joined };
}

/** The output, or the reason why there is none: a client asks for the exit code (126, 127) only after a stream. */
function outputOf(session: ExecSession): PassThrough {
  const output = new PassThrough();
  session.started.then(
    () => session.output.on('error', (error) => output.destroy(error)).pipe(output),
    (error: unknown) => {
      const line = Buffer.from(`${messageOf(error)}\r\n`);
      output.end(session.tty ? line : formatAttachFrame(2, line));
    },
  );
  return output;
}

async function resize({ request, services, param }: RouteCall) {
  const { rows, columns } = terminalSize(request.query);
  await services.engine.exec.resize(param('id'), rows, columns);
  return empty(200);
}

function execView(details: ExecDetails): ExecInspect {
  const { spec } = details;
  const [entrypoint = '', ...args] = spec.command;
  return {
    ID: details.id,
    ContainerID: details.containerId,
    Running: details.running,
    ExitCode: details.exitCode,
    ProcessConfig: {
      tty: spec.tty ?? false,
      entrypoint,
      arguments: args,
      privileged: spec.privileged ?? false,
      ...(spec.user !== undefined && { user: spec.user }),
    },
    OpenStdin: spec.attachStdin ?? false,
    OpenStdout: spec.attachStdout ?? false,
    OpenStderr: spec.attachStderr ?? false,
    CanRemove: false,
    DetachKeys: spec.detachKeys ?? '',
    Pid: details.pid,
  };
}
