/**
 * daemon: the Engine API in front of the engine – a function from request to answer, and the socket around it. Translates
 * between the wire and the engine's words and refuses what is not offered by naming it. Decides nothing about containers.
 */
export { enterKeeper } from './enter-keeper.ts';
export { createHandler, type Handler } from './handle.ts';
export type { ApiRequest, ApiResponse, HijackSession } from './http-message.ts';
export { type ApiServer, type ListenAddress, type ServerOptions, startServer } from './server.ts';
export type { DaemonLogger, DaemonServices } from './services.ts';
export { startDaemon } from './start-daemon.ts';
