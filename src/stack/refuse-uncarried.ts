import type { Service } from '../compose/index.ts';
import { TscError } from '../core/index.ts';

/**
 * Attributes that the model can hold and that no operation carries out: asking for one is an error, never silence. (Those with a
 * meaning on Windows only are kept, and the loader warns.)
 */
const UNCARRIED: readonly { readonly key: string; readonly asked: (service: Service) => boolean }[] = [
  { key: 'annotations', asked: (s) => s.annotations.size > 0 },
  { key: 'blkio_config (devices)', asked: (s) => hasDeviceLimits(s) },
  { key: 'configs', asked: (s) => s.configs.length > 0 },
  { key: 'secrets', asked: (s) => s.secrets.length > 0 },
  { key: 'cpu_rt_period', asked: (s) => s.cpuRtPeriod !== undefined },
  { key: 'cpu_rt_runtime', asked: (s) => s.cpuRtRuntime !== undefined },
  { key: 'gpus', asked: (s) => s.gpus.length > 0 || devicesReserved(s) },
  { key: 'models', asked: (s) => s.models.size > 0 },
  {
    key: 'pre_start, post_start, pre_stop',
    asked: (s) => s.preStart.length + s.postStart.length + s.preStop.length > 0,
  },
  { key: 'provider', asked: (s) => s.provider !== undefined },
  { key: 'storage_opt', asked: (s) => s.storageOpt.size > 0 },
  { key: 'use_api_socket', asked: (s) => s.useApiSocket },
];

/** Throws `stack/unsupported` naming the first attribute of the service that would have no effect. */
export function refuseUncarried(service: Service): void {
  const found = UNCARRIED.find(({ asked }) => asked(service));
  if (!found) return;
  throw new TscError('stack/unsupported', `service ${service.name}: ${found.key} is not supported yet`, {
    hint: 'remove it from the file, or keep it in an override file for other tools',
    subject: ['services', service.name, found.key],
  });
}

function hasDeviceLimits({ blkioConfig: blkio }: Service): boolean {
  if (!blkio) return false;
  return (
    blkio.weightDevice.length +
      blkio.deviceReadBps.length +
      blkio.deviceReadIops.length +
      blkio.deviceWriteBps.length +
      blkio.deviceWriteIops.length >
    0
  );
}

function devicesReserved({ deploy }: Service): boolean {
  return (deploy?.resources?.reservations?.devices.length ?? 0) > 0;
}
