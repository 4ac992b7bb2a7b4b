/**
 * client: the manager's seam to any engine that speaks the Engine API, in our terms, and the way to start our own daemon.
 * Refuses compose semantics: it knows containers, networks, volumes and images, never services.
 */
import type { EngineEndpoint } from './endpoint.ts';
import type { EngineClient } from './engine-client.ts';

export type {
  ContainerSpec,
  EndpointSpec,
  HealthcheckSpec,
  MountSpec,
  PortPublication,
  ResourceSpec,
  SecuritySpec,
} from './container-spec.ts';
export { ANONYMOUS_VOLUME_LABEL } from './create-body.ts';
export { type EngineEndpoint, parseEndpoint, resolveEndpoint, runDirectory } from './endpoint.ts';
export type {
  BuildRequest,
  ContainerDetails,
  ContainerState,
  ContainerSummary,
  EngineClient,
  EngineEvent,
  EngineVersion,
  ExecSpec,
  Health,
  ImageDetails,
  Labels,
  LogOptions,
  NetworkSpec,
  NetworkSummary,
  OutputChunk,
  PortConflict,
  PortMapping,
  ProgressMessage,
  StreamSession,
  VolumeSpec,
  VolumeSummary,
} from './engine-client.ts';
export { createMemoryClient, type MemoryBehaviour, type MemoryClient } from './memory-client.ts';
export { type DaemonPlace, isListening, startDaemon } from './start-daemon.ts';

/** A client of the engine behind the endpoint. The transport is loaded here and not before. */
export async function openEngine(endpoint: EngineEndpoint): Promise<EngineClient> {
  const { createDockerodeClient } = await import('./dockerode-client.ts');
  return createDockerodeClient(endpoint);
}
