/** The profile that containers get on hosts with AppArmor. */
export const DEFAULT_APPARMOR_PROFILE = 'tscompose-default';

/** Directories of /proc and /sys a container has no business to write in, whatever is mounted there and however. */
const KERNEL_TREES = [
  '/proc/{acpi,asound,bus,fs,irq,scsi,tty}/',
  '/proc/sys/{abi,crypto,debug,dev,fs,sunrpc,user,vm}/',
  '/sys/{block,bus,class,dev,devices,firmware,hypervisor,kernel,module,power}/',
  // All of /sys/fs but the control groups.
  '/sys/fs/[^c]',
];

/** Settings of the whole kernel; those of a namespace (kernel.msg*, kernel.sem, kernel.shm*, names) stay open. */
const KERNEL_SETTINGS =
  'core_*,kexec*,kptr_*,modprobe,modules_*,panic*,perf_*,poweroff_cmd,printk*,random/**,sysrq,usermodehelper/**,yama/**';

/** Secrets of the kernel and ways to stop it. */
const KERNEL_FILES = '/proc/{kcore,keys,latency_stats,sched_debug,sysrq-trigger,timer_list}';

/**
 * Text for apparmor_parser. A second layer below capabilities, seccomp and mounts: nothing in it is the only thing between a container
 * and the host, except AF_ALG and AF_VSOCK for 32 bit programs, whose socketcall(2) no filter sees into.
 */
export function apparmorProfileText(name = DEFAULT_APPARMOR_PROFILE): string {
  const rules = [
    'file',
    'capability',
    'network',
    'unix',
    'umount',
    // The engine's own processes are not confined.
    'signal (receive) peer=unconfined',
    `signal (send, receive) peer=${name}`,
    `ptrace (trace, read, tracedby, readby) peer=${name}`,
    'deny network alg',
    'deny network vsock',
    'deny mount',
    `deny ${KERNEL_FILES} rwklx`,
    `deny /proc/sys/kernel/{${KERNEL_SETTINGS}} wkl`,
    ...KERNEL_TREES.map((tree) => `deny ${tree}** wkl`),
  ];
  return `profile ${name} flags=(attach_disconnected, mediate_deleted) {\n${rules.map((rule) => `  ${rule},\n`).join('')}}\n`;
}
