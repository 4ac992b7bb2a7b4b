import { TscError } from '../../core/index.ts';
import { observe } from '../../stack/index.ts';
import type { Context } from '../context.ts';
import { checkServices, chooseReplica } from '../select-containers.ts';

/** `tscompose port SERVICE PORT` */
export async function run(
  context: Context,
  [service = '', privatePort = '']: readonly string[],
  options: { readonly protocol?: string; readonly index?: number },
): Promise<number> {
  const target = await context.target();
  const have = await observe(await context.engine(), target.name);
  checkServices(target, have, [service]);
  const [number = '', protocol = options.protocol ?? 'tcp'] = privatePort.split('/');
  const { ports, name } = chooseReplica(have, service, options.index);
  const found = ports.find(
    (port) => port.containerPort === Number(number) && port.protocol === protocol && port.hostPort !== undefined,
  );
  if (!found) {
    throw new TscError('cli/not-found', `${name} does not publish port ${number}/${protocol}`, {
      hint: 'see tscompose ps for what it publishes',
    });
  }
  const address = found.hostAddress?.includes(':') ? `[${found.hostAddress}]` : found.hostAddress;
  context.output.print(`${address}:${found.hostPort}`);
  return 0;
}
