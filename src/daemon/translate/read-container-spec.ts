import { OBJECT_NAME, TscError } from '../../core/index.ts';
import type { ContainerSpec, Healthcheck } from '../../engine/index.ts';
import type { WireObject } from '../wire-object.ts';
import { present } from './present.ts';
import { readHostConfig } from './read-host-config.ts';

type Config = ContainerSpec['config'];
type Endpoint = NonNullable<ContainerSpec['networks']>[string];

/** Body and name of a create call in the engine's words. Throws `daemon/invalid` and `daemon/unsupported`. */
export function readContainerSpec(body: WireObject, nameText: string | null): ContainerSpec {
  const hostBody = body.object('HostConfig');
  const host = hostBody && readHostConfig(hostBody);
  const networks = readNetworks(body);
  const mac = body.string('MacAddress');
  const name = readName(nameText);
  return present({
    name,
    config: readConfig(body),
    host,
    networks: mac ? withMacAddress(networks, host?.networkMode ?? 'default', mac) : networks,
  });
}

function readName(text: string | null): string | undefined {
  const name = (text ?? '').replace(/^\//, '');
  if (name === '') return undefined;
  if (!OBJECT_NAME.test(name) || name.length > 255) {
    throw new TscError('daemon/invalid', `invalid container name ${JSON.stringify(name.slice(0, 80))}`, {
      hint: 'use letters, digits and _ . - and begin with a letter or digit',
    });
  }
  return name;
}

function readConfig(body: WireObject): Config {
  const image = body.string('Image') ?? '';
  if (image === '') throw new TscError('daemon/invalid', 'no image was given');
  return present({
    image,
    hostname: body.string('Hostname') || undefined,
    domainname: body.string('Domainname') || undefined,
    user: body.string('User') || undefined,
    tty: body.boolean('Tty'),
    openStdin: body.boolean('OpenStdin'),
    stdinOnce: body.boolean('StdinOnce'),
    attachStdin: body.boolean('AttachStdin'),
    attachStdout: body.boolean('AttachStdout'),
    attachStderr: body.boolean('AttachStderr'),
    env: body.strings('Env'),
    command: nonEmpty(body.words('Cmd')),
    // One empty word is how clients say «none, not even the image's»; the engine knows it.
    entrypoint: body.words('Entrypoint'),
    workdir: body.string('WorkingDir') || undefined,
    labels: body.map('Labels'),
    stopSignal: body.string('StopSignal') || undefined,
    stopTimeoutSeconds: body.integer('StopTimeout'),
    healthcheck: readHealthcheck(body.object('Healthcheck')),
    exposedPorts: body.keys('ExposedPorts')?.map((port) => (port.includes('/') ? port : `${port}/tcp`)),
    volumes: body.keys('Volumes'),
    shell: nonEmpty(body.strings('Shell')),
    networkDisabled: body.boolean('NetworkDisabled'),
  });
}

function nonEmpty(words: readonly string[] | undefined): readonly string[] | undefined {
  return words === undefined || words.length === 0 ? undefined : words;
}

function readHealthcheck(check: WireObject | undefined): Healthcheck | undefined {
  if (check === undefined) return undefined;
  return present({
    test: check.strings('Test') ?? [],
    intervalNs: check.integer('Interval') || undefined,
    timeoutNs: check.integer('Timeout') || undefined,
    startPeriodNs: check.integer('StartPeriod') || undefined,
    startIntervalNs: check.integer('StartInterval') || undefined,
    retries: check.integer('Retries') || undefined,
  });
}

function readNetworks(body: WireObject): Record<string, Endpoint> {
  const networks: Record<string, Endpoint> = Object.create(null);
  for (const [name, endpoint] of body.object('NetworkingConfig')?.members('EndpointsConfig') ?? []) {
    // The default network goes by its mode's name here, by its own everywhere else.
    networks[name === 'default' ? 'bridge' : name] = readEndpoint(endpoint);
  }
  return networks;
}

/** How a container wants to be on one network: of create and of connect. */
export function readEndpoint(endpoint: WireObject): Endpoint {
  const ipam = endpoint.object('IPAMConfig');
  return present({
    aliases: endpoint.strings('Aliases'),
    links: endpoint.strings('Links'),
    ipv4: ipam?.string('IPv4Address') || undefined,
    ipv6: ipam?.string('IPv6Address') || undefined,
    linkLocal: nonEmpty(ipam?.strings('LinkLocalIPs')),
    gatewayPriority: endpoint.integer('GwPriority') || undefined,
    macAddress: endpoint.string('MacAddress') || undefined,
    driverOptions: endpoint.map('DriverOpts'),
  });
}

// Until 1.43 the address stood beside the image; it means the network that the mode names.
function withMacAddress(networks: Record<string, Endpoint>, mode: string, macAddress: string) {
  const name = Object.keys(networks)[0] ?? (mode === 'default' ? 'bridge' : mode);
  networks[name] = { macAddress, ...networks[name] };
  return networks;
}
