/**
 * containers: containers and exec sessions from create to remove – records, state changes, start and stop, attach, logs,
 * health, restart policy, recovery – and the one-off processes of builds. Refuses the API's JSON, addresses and firewall
 * (network), and everything inside the kernel's doors (the native runtime).
 */
export { type AppArmor, appArmor } from './apparmor.ts';
export type * from './container.ts';
export type * from './container-service.ts';
export { type ContainerRoom, type ContainerRoomOptions, openContainers } from './room.ts';
export type * from './run-step.ts';
