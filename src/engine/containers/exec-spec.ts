import { allDone } from '../../core/index.ts';
import { makeDirectory, writeNew } from '../../host/index.ts';
import { buildProcess, chooseCapabilities } from '../runtime/index.ts';
import { apparmorProfileOf } from './apparmor.ts';
import { accountReader, completeEnv, hostnameOf } from './bundle.ts';
import type { ExecSpec } from './container-service.ts';
import { type ContainerContext, monitorDirectory } from './context.ts';
import { ownPowers } from './host-facts.ts';
import { rlimitsOf } from './limits.ts';
import { environmentWithLinks } from './link-variables.ts';
import type { LiveContainer } from './live-container.ts';
import { parseSecurityOptions } from './security-options.ts';
import { resolveUser } from './user-lookup.ts';

export interface ExecOrders {
  /** Path of the monitor's orders. */
  readonly file: string;
  readonly runDirectory: string;
}

/** Writes process.json and the monitor's orders of one exec. */
export async function writeExec(
  context: ContainerContext,
  container: LiveContainer,
  id: string,
  spec: ExecSpec,
): Promise<ExecOrders> {
  const runDirectory = monitorDirectory(context.runDir, 'e', id);
  const { config, host } = container.record;
  // The files as the container sees them now, mounts included.
  const accounts = accountReader([`/proc/${container.state.pid}/root`]);
  const [user] = await allDone([
    resolveUser(spec.user || config.user, host.groupAdd, accounts),
    makeDirectory(runDirectory),
  ]);
  const powers = await ownPowers();
  const tty = spec.tty ?? false;
  const process = buildProcess({
    args: spec.command,
    env: completeEnv(mergeEnv(environmentWithLinks(context, container.record), spec.env ?? []), {
      hostname: hostnameOf(context, container.record),
      tty,
      home: user.home,
    }),
    cwd: spec.workdir || config.workdir || '/',
    terminal: tty,
    ...(spec.consoleSize && { consoleSize: spec.consoleSize }),
    user,
    capabilities: chooseCapabilities({
      privileged: host.privileged || (spec.privileged ?? false),
      add: host.capAdd,
      drop: host.capDrop,
      available: powers.capabilities,
    }),
    rlimits: rlimitsOf(host.ulimits, powers),
    noNewPrivileges: parseSecurityOptions(host.securityOpt).noNewPrivileges,
    apparmorProfile: await apparmorProfileOf({ ...host, privileged: host.privileged || (spec.privileged ?? false) }),
  });
  const processFile = `${runDirectory}/process.json`;
  const orders = {
    kind: 'exec',
    id,
    container: container.id,
    run_dir: runDirectory,
    runtime: null,
    runtime_root: `${context.runDir}/runtime`,
    process: processFile,
    terminal: tty,
    rows: spec.consoleSize?.rows ?? 0,
    cols: spec.consoleSize?.columns ?? 0,
    stdin: spec.attachStdin ?? false,
    stdin_once: true,
    log: null,
  };
  const file = `${runDirectory}/monitor.json`;
  // Nobody looks before the monitor is spawned, and the directory is new: no need for the detour of an atomic write.
  await allDone([writeNew(processFile, JSON.stringify(process)), writeNew(file, JSON.stringify(orders))]);
  return { file, runDirectory };
}

function mergeEnv(base: readonly string[], over: readonly string[]): string[] {
  const keyOf = (entry: string) => entry.split('=', 1)[0];
  const named = new Set(over.map(keyOf));
  return [...base.filter((entry) => !named.has(keyOf(entry))), ...over.filter((entry) => entry.includes('='))];
}
