import { type DiagnosticCollector, describeError, type Position, TscError } from '../../core/index.ts';
import type { Journal } from '../journal.ts';
import { parseRemoteAddress, withoutPassword } from './remote-address.ts';
import type { Origin, RemoteFiles } from './remote-files.ts';

/** A remote file that was fetched. */
export interface RemotePlace {
  readonly file: string;
  /** Absent when the user trusts the address. */
  readonly origin?: Origin;
}

export interface RemoteContext {
  readonly remote: RemoteFiles | undefined;
  readonly findings: DiagnosticCollector;
  readonly journal: Journal;
}

/** Fetches the file of an address; undefined after a problem, which is reported at the place that names it. */
export async function locateRemote(
  text: string,
  at: Position | undefined,
  context: RemoteContext,
): Promise<RemotePlace | undefined> {
  const { remote, findings, journal } = context;
  const shown = withoutPassword(text);
  const place = at ? { at } : {};
  const address = parseRemoteAddress(text);
  if (address.kind === 'bad') {
    const message = `the address ${shown} ${address.problem}`;
    findings.add({ code: 'compose/invalid-address', severity: 'error', message, hint: address.hint, ...place });
    return undefined;
  }
  if (!remote) {
    const message = `${shown} is a remote file, and none are fetched here`;
    const hint = 'load it with the command, or copy the file';
    findings.add({ code: 'compose/remote-file', severity: 'error', message, hint, ...place });
    return undefined;
  }
  try {
    const { file, root, trusted, warning } = await remote.fetch(address);
    if (warning !== undefined)
      findings.add({ code: 'compose/remote-copy', severity: 'warning', message: warning, ...place });
    if (!trusted) journal.untrusted.push(shown);
    return { file, ...(!trusted && { origin: { address: shown, folders: [root] } }) };
  } catch (error) {
    const hint = error instanceof TscError && error.hint !== undefined ? { hint: error.hint } : {};
    const message = `cannot fetch ${shown}: ${describeError(error)}`;
    findings.add({ code: 'compose/remote-file', severity: 'error', message, ...hint, ...place });
    return undefined;
  }
}
