import { TscError } from '../../core/index.ts';

/** All capabilities of Linux, in the kernel's order. */
export const ALL_CAPABILITIES: readonly string[] =
  `CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
 LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
 SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE
 AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`
    .split(/\s+/)
    .map((name) => `CAP_${name}`);

const DEFAULT: readonly string[] = `CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP
 NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE`
  .split(/\s+/)
  .map((name) => `CAP_${name}`);

export interface CapabilityRequest {
  readonly privileged: boolean;
  readonly add: readonly string[];
  readonly drop: readonly string[];
  /** What the engine itself has; more cannot be given. */
  readonly available: readonly string[];
}

/** The bounding set: Docker's fourteen, changed as asked; `ALL` is understood in both lists. Throws `container/invalid`. */
export function chooseCapabilities(request: CapabilityRequest): string[] {
  if (request.privileged) return ALL_CAPABILITIES.filter((name) => request.available.includes(name));
  const add = request.add.map(normalise);
  const drop = request.drop.map(normalise);
  const start = add.includes('ALL') ? ALL_CAPABILITIES : drop.includes('ALL') ? [] : DEFAULT;
  const chosen = new Set(start);
  if (!add.includes('ALL')) for (const name of add) chosen.add(name);
  for (const name of drop) chosen.delete(name);
  // A capability added by name that the engine lacks is an error; of ALL only what exists is meant.
  const missing = add.filter((name) => name !== 'ALL' && chosen.has(name) && !request.available.includes(name));
  if (missing.length > 0) {
    throw new TscError('container/denied', `cannot give capability ${missing.join(', ')}: the engine does not have it`);
  }
  return ALL_CAPABILITIES.filter((name) => chosen.has(name) && request.available.includes(name));
}

function normalise(text: string): string {
  const upper = text.toUpperCase();
  if (upper === 'ALL' || upper === 'CAP_ALL') return 'ALL';
  const name = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
  if (!ALL_CAPABILITIES.includes(name)) {
    throw new TscError('container/invalid', `unknown capability ${JSON.stringify(text)}`, {
      hint: 'capabilities(7) lists them, for example NET_ADMIN',
    });
  }
  return name;
}

/** Names in a mask of /proc/self/status (`CapBnd`). */
export function capabilitiesOfMask(hex: string): string[] {
  const mask = BigInt(`0x${hex.trim()}`);
  return ALL_CAPABILITIES.filter((_, index) => ((mask >> BigInt(index)) & 1n) === 1n);
}
