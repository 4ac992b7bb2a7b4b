import { describeError, TscError, UndoList } from '../../core/index.ts';
import { killCgroup, makeDirectory, removeTree, writeAtomically } from '../../host/index.ts';
import type { NetworkService } from '../network/index.ts';
import {
  buildOciConfig,
  chooseCapabilities,
  defaultSeccompProfile,
  type OciConfig,
  type OciMount,
} from '../runtime/index.ts';
import { defaultApparmorProfile } from './apparmor.ts';
import { accountReader, completeEnv } from './bundle.ts';
import { cgroupPath } from './context.ts';
import { decodeFrames } from './frames.ts';
import { ownPowers } from './host-facts.ts';
import { limitsOf, rlimitsOf } from './limits.ts';
import type { MonitorSpawner, ProcessMonitor } from './process-monitor.ts';
import type { RunStep, RunStepInput } from './run-step.ts';
import { resolveUser } from './user-lookup.ts';

export interface StepTools {
  readonly instance: string;
  readonly runDir: string;
  readonly spawner: MonitorSpawner;
  readonly networks: NetworkService;
}

/** The short life of one step: its directory, its network, its process. */
interface Step {
  readonly input: RunStepInput;
  readonly tools: StepTools;
  readonly directory: string;
  readonly undo: UndoList;
}

/** Runs build steps; the second value says how many run now. */
export function createRunStep(tools: StepTools): { readonly runStep: RunStep; readonly active: () => number } {
  let active = 0;
  const runStep: RunStep = async (input) => {
    input.signal?.throwIfAborted();
    const directory = `${tools.runDir}/s/${input.id.slice(0, 20)}`;
    const step: Step = { input, tools, directory, undo: new UndoList() };
    active += 1;
    try {
      return await runOne(step);
    } finally {
      active -= 1;
      await step.undo.run();
    }
  };
  return { runStep, active: () => active };
}

async function runOne(step: Step): Promise<number> {
  const { directory, undo, tools, input } = step;
  await makeDirectory(`${directory}/bundle/rootfs`);
  undo.add('remove the directory', () => removeTree(directory));
  const network = await openNetwork(step);
  const config = await configOf(step, network);
  const orders = {
    kind: 'container',
    id: input.id,
    container: input.id,
    run_dir: directory,
    runtime: null,
    runtime_root: `${tools.runDir}/runtime`,
    bundle: `${directory}/bundle`,
    terminal: false,
    rows: 0,
    cols: 0,
    stdin: false,
    stdin_once: false,
    log: null,
  };
  await writeAtomically(`${directory}/bundle/config.json`, JSON.stringify(config));
  await writeAtomically(`${directory}/monitor.json`, JSON.stringify(orders));
  const monitor = await tools.spawner.spawn(`${directory}/monitor.json`, directory);
  undo.add('end the process', async () => {
    await monitor.kill(9).catch(() => undefined);
    if ((await monitor.exited) === undefined) {
      await tools.spawner.discard(input.id);
      await killCgroup(cgroupPath(tools.instance, input.id));
    }
    monitor.close();
  });
  return follow(step, monitor);
}

async function follow({ input }: Step, monitor: ProcessMonitor): Promise<number> {
  const streams = await monitor.attach({ stdin: false, stdout: true, stderr: true, terminal: false });
  const output = (async () => {
    for await (const { stream, data } of decodeFrames(streams.output)) input.onOutput(stream, data);
  })();
  const cancel = () => void monitor.kill(9).catch(() => undefined);
  input.signal?.addEventListener('abort', cancel, { once: true });
  try {
    try {
      await monitor.start();
    } catch (cause) {
      // As a shell would: the step fails with the code for a command that is not there or cannot run.
      input.onOutput('stderr', Buffer.from(`${describeError(cause)}\n`));
      return 127;
    }
    if (input.signal?.aborted) cancel();
    const exit = await monitor.exited;
    await output;
    if (input.signal?.aborted) throw new TscError('build/cancelled', 'the build step was cancelled');
    if (!exit) throw new TscError('container/failed', 'the monitor of the build step was lost');
    return exit.exitCode;
  } finally {
    input.signal?.removeEventListener('abort', cancel);
    streams.close();
  }
}

interface StepNetwork {
  /** null: the host's. */
  readonly path: string | null;
  readonly mounts: readonly OciMount[];
}

async function openNetwork({ input, tools, directory, undo }: Step): Promise<StepNetwork> {
  const { networks } = tools;
  const network = input.network === 'default' ? 'bridge' : input.network;
  await networks.prepare({ containerId: input.id, name: `step-${input.id.slice(0, 12)}`, endpoints: [{ network }] });
  undo.add('give the network back', () => networks.release(input.id));
  const sandbox = await networks.openSandbox(input.id);
  await networks.publish(input.id, []);
  const files = await networks.nameFiles(input.id, {
    hostname: 'buildkitsandbox',
    ...(input.extraHosts && { extraHosts: input.extraHosts }),
  });
  const hosts = `${directory}/hosts`;
  const resolvConf = `${directory}/resolv.conf`;
  await writeAtomically(hosts, files.hosts, { mode: 0o644 });
  await writeAtomically(resolvConf, files.resolvConf, { mode: 0o644 });
  const mount = (destination: string, source: string): OciMount => ({
    destination,
    type: 'bind',
    source,
    options: ['rbind', 'rprivate', 'ro'],
  });
  return { path: sandbox.path, mounts: [mount('/etc/hosts', hosts), mount('/etc/resolv.conf', resolvConf)] };
}

async function configOf({ input, tools, directory }: Step, network: StepNetwork): Promise<OciConfig> {
  const powers = await ownPowers();
  const user = await resolveUser(input.user, [], accountReader([input.upper, ...input.lower]));
  const capabilities = chooseCapabilities({ privileged: false, add: [], drop: [], available: powers.capabilities });
  return buildOciConfig({
    id: input.id,
    rootPath: `${directory}/bundle/rootfs`,
    overlay: { lower: input.lower, upper: input.upper, work: input.work },
    readonlyRootfs: false,
    hostname: 'buildkitsandbox',
    domainname: '',
    process: {
      args: input.args,
      env: completeEnv(input.env, { hostname: '', tty: false, home: user.home }),
      cwd: input.cwd || '/',
      terminal: false,
      user,
      capabilities,
      rlimits: rlimitsOf([], powers),
      noNewPrivileges: false,
      oomScoreAdj: 0,
      apparmorProfile: await defaultApparmorProfile(),
    },
    namespaces: {
      network: network.path === null ? 'host' : { path: network.path },
      pid: 'new',
      ipc: 'new',
      uts: 'new',
      cgroup: 'new',
    },
    cgroupsPath: cgroupPath(tools.instance, input.id),
    limits: limitsOf({}),
    devices: [],
    deviceRules: [],
    mounts: network.mounts,
    shmSizeBytes: input.shmSizeBytes ?? 64 << 20,
    sysctls: {},
    seccomp: defaultSeccompProfile(new Set(capabilities)),
    maskedPaths: undefined,
    readonlyPaths: undefined,
    privileged: false,
    init: false,
    annotations: {},
  });
}
