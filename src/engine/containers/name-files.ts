import { describeError } from '../../core/index.ts';
import { pathExists, readTextIfExists, rewriteInPlace, writeAtomically } from '../../host/index.ts';
import { amendHosts } from '../network/index.ts';
import type { OciMount } from '../runtime/index.ts';
import { hostnameOf } from './bundle.ts';
import { type ContainerContext, pathsOf } from './context.ts';
import type { LiveContainer } from './live-container.ts';
import { networkOwner } from './network-owner.ts';

/** The container may have written anything into its files; larger ones are left as they are. */
const READ_LIMIT = 1 << 20;

function nameSpec(context: ContainerContext, container: LiveContainer) {
  const { config, host } = container.record;
  return {
    hostname: hostnameOf(context, container.record),
    domainname: config.domainname,
    extraHosts: host.extraHosts,
  };
}

/** Writes hosts, hostname and resolv.conf for a start; a container in the network of another shares that one's. Returns their mounts. */
export async function writeNameFiles(context: ContainerContext, container: LiveContainer): Promise<OciMount[]> {
  const owner = networkOwner(context, container);
  const paths = pathsOf(context, owner.id);
  if (owner === container || !(await pathExists(paths.hosts))) {
    const spec = nameSpec(context, container);
    const files = await context.networks.nameFiles(owner.id, spec);
    const write = (path: string, text: string) => writeAtomically(path, text, { mode: 0o644 });
    await Promise.all([
      write(paths.hosts, files.hosts),
      write(paths.resolvConf, files.resolvConf),
      write(paths.resolvConfWritten, files.resolvConf),
      write(paths.hostname, `${spec.hostname}\n`),
    ]);
  }
  const access = container.record.host.readonlyRootfs ? ['ro'] : [];
  const mount = (destination: string, source: string): OciMount => ({
    destination,
    type: 'bind',
    source,
    options: ['rbind', 'rprivate', ...access],
  });
  return [
    mount('/etc/hosts', paths.hosts),
    mount('/etc/hostname', paths.hostname),
    mount('/etc/resolv.conf', paths.resolvConf),
  ];
}

/** Changes the networks of a container; the files of a running one follow. */
export async function withNameFiles<T>(
  context: ContainerContext,
  container: LiveContainer,
  change: () => Promise<T>,
): Promise<T> {
  if (!container.isRunning) return change();
  const before = await context.networks.liveNames(container.id, nameSpec(context, container));
  const result = await change();
  await updateNameFiles(context, container, before.ownHosts);
  return result;
}

/** The host's name servers may have changed: a running container that goes by them follows. The caller holds its lock. */
export async function followHostResolver(context: ContainerContext, container: LiveContainer): Promise<void> {
  if (!container.isRunning || networkOwner(context, container) !== container) return;
  await updateNameFiles(context, container).catch((error: unknown) =>
    context.logger.warn({ container: container.id, error: describeError(error) }, 'cannot update resolv.conf'),
  );
}

/** In place, as they are mounted: another file under the same name would not be seen. What the user wrote into them stays. */
async function updateNameFiles(
  context: ContainerContext,
  container: LiveContainer,
  formerHosts?: readonly string[],
): Promise<void> {
  const paths = pathsOf(context, container.id);
  const now = await context.networks.liveNames(container.id, nameSpec(context, container));
  const written = await readTextIfExists(paths.resolvConfWritten);
  if (written !== now.resolvConf && (await readTextIfExists(paths.resolvConf, READ_LIMIT)) === written) {
    await rewriteInPlace(paths.resolvConf, now.resolvConf);
    await writeAtomically(paths.resolvConfWritten, now.resolvConf);
  }
  const hosts = formerHosts && (await readTextIfExists(paths.hosts, READ_LIMIT));
  if (hosts !== undefined) await rewriteInPlace(paths.hosts, amendHosts(hosts, formerHosts ?? [], now.ownHosts));
}
