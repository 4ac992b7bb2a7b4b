import { TscError } from '../../core/index.ts';
import type { HostConfig } from './container.ts';

/** Settings that belong to an IPC namespace. */
const IPC = new Set([
  'kernel.msgmax',
  'kernel.msgmnb',
  'kernel.msgmni',
  'kernel.sem',
  'kernel.shmall',
  'kernel.shmmax',
  'kernel.shmmni',
  'kernel.shm_rmid_forced',
]);

/** Only settings of the container's own namespaces; everything else would change the host. Throws `container/invalid`. */
export function checkSysctls(host: HostConfig, networkDisabled: boolean): void {
  for (const [key, value] of Object.entries(host.sysctls)) {
    const network = key.startsWith('net.');
    const ipc = IPC.has(key) || key.startsWith('fs.mqueue.');
    if (!/^[a-z0-9_.\-/]+$/i.test(key) || key.includes('..') || /[\n\0]/.test(value) || (!network && !ipc))
      throw new TscError('container/invalid', `sysctl ${JSON.stringify(key)} is not kept apart by a namespace`, {
        hint: 'set it on the host, or leave it out',
      });
    if (network && (host.networkMode === 'host' || host.networkMode.startsWith('container:') || networkDisabled))
      throw new TscError('container/invalid', `sysctl ${key} needs a network namespace of the container's own`);
    if (ipc && (host.ipcMode === 'host' || host.ipcMode.startsWith('container:')))
      throw new TscError('container/invalid', `sysctl ${key} needs an IPC namespace of the container's own`);
  }
}

/** The settings that the network room writes. */
export function networkSysctls(host: HostConfig): Record<string, string> {
  return Object.fromEntries(Object.entries(host.sysctls).filter(([key]) => key.startsWith('net.')));
}
