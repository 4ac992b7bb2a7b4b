import type { DiagnosticCollector } from '../../core/index.ts';
import { child, childText, type Entry, isNull, type Mapping, type Node, positionOf } from '../node.ts';
import { absolutePath, isRemote } from '../paths.ts';
import { visitPaths } from '../resolve-paths.ts';
import type { Origin } from './remote-files.ts';

const HINT = (origin: Origin) => `read what it does, then allow it with --trust-remote '${origin.address}'`;

/** Whether a path lies in one of the folders. Lexical: fetched trees have no link that leads out. */
export function isInside(path: string, folders: readonly string[]): boolean {
  return folders.some((folder) => path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`));
}

/** Reports a path of a remote file that lies outside what came with it; true when there is nothing to report. */
export function mayReach(node: Node, path: string, findings: DiagnosticCollector): boolean {
  const { origin } = node.source;
  if (!origin || isInside(path, origin.folders)) return true;
  const message = `the remote file ${origin.address} names ${path}, which did not come with it`;
  findings.add({ code: 'compose/remote-reach', severity: 'error', message, at: positionOf(node), hint: HINT(origin) });
  return false;
}

/** Attributes that act on this machine beyond the container, below a service. */
const POWERS: readonly (readonly [path: readonly string[], does: string])[] = [
  [['provider'], 'runs a program of this machine'],
  [['post_start'], 'runs commands at the start of containers'],
  [['pre_start'], 'runs commands before containers start'],
  [['pre_stop'], 'runs commands before containers stop'],
  [['use_api_socket'], 'hands out the socket of the engine'],
  [['privileged'], 'gives the container all rights on this machine'],
  [['devices'], 'gives the container devices of this machine'],
  [['credential_spec', 'file'], 'names a file of this machine'],
  [['build', 'ssh'], 'gives the build your ssh keys'],
  [['build', 'privileged'], 'gives the build all rights on this machine'],
];

/**
 * What comes from a remote file may name only what came with it, and may not reach out of containers; false when it does. Runs before any file
 * that the model names is read.
 */
export function checkReach(tree: Mapping, home: string | undefined, findings: DiagnosticCollector): boolean {
  const before = findings.all.length;
  visitPaths(tree, (path) => {
    if (path.template) return;
    mayReach(path, absolutePath(path.text, path.source.base, home), findings);
  });
  const services = child(tree, 'services');
  if (services?.kind === 'map')
    for (const { value } of services.entries.values()) {
      for (const [path, does] of POWERS) checkPower(value, path, does, findings);
      checkDockerfile(value, home, findings);
    }
  const volumes = child(tree, 'volumes');
  if (volumes?.kind === 'map') for (const { value } of volumes.entries.values()) checkDevice(value, findings);
  return findings.all.length === before;
}

function checkPower(service: Node, path: readonly string[], does: string, findings: DiagnosticCollector): void {
  const value = path.reduce<Node | undefined>((node, key) => child(node, key), service);
  const origin = value?.source.origin;
  if (!value || !origin || isNull(value)) return;
  if (value.kind === 'scalar' && (value.value === false || value.text === 'false')) return;
  if (value.kind === 'list' && value.items.length === 0) return;
  const message = `the remote file ${origin.address} sets ${path.join('.')}, which ${does}`;
  findings.add({ code: 'compose/remote-reach', severity: 'error', message, at: positionOf(value), hint: HINT(origin) });
}

/** Starts at the context, so no path rule sees it. */
function checkDockerfile(service: Node, home: string | undefined, findings: DiagnosticCollector): void {
  const build = child(service, 'build');
  const file = child(build, 'dockerfile');
  const context = child(build, 'context');
  if (file?.kind !== 'scalar' || file.template) return;
  const start = context?.kind === 'scalar' ? context : undefined;
  if (start && isRemote(start.text)) return;
  const folder = start ? absolutePath(start.text, start.source.base, home) : file.source.base;
  mayReach(file, absolutePath(file.text, folder, home), findings);
}

/** A volume of the local driver may be any folder or disk of this machine. */
function checkDevice(volume: Node, findings: DiagnosticCollector): void {
  const device = child(child(volume, 'driver_opts'), 'device');
  if (device?.kind !== 'scalar' || !device.text.startsWith('/')) return;
  if ((childText(volume, 'driver') ?? 'local') === 'local') mayReach(device, device.text, findings);
}

/** Warns of a variable of this environment that a remote file takes: what it takes, it can send anywhere. */
export function tellOfReading(node: Node, name: string, findings: DiagnosticCollector): void {
  const { origin } = node.source;
  if (!origin) return;
  findings.add({
    code: 'compose/remote-variable',
    severity: 'warning',
    message: `the remote file ${origin.address} reads the variable ${name} of this environment`,
    at: positionOf(node),
    hint: `unset it if the file should not have it; --trust-remote '${origin.address}' silences this`,
  });
}

/** Variables that remote files pass on by name: into containers without a value, into configs and secrets. */
export function tellOfPassing(tree: Mapping, isSet: (name: string) => boolean, findings: DiagnosticCollector): void {
  const services = entriesOf(child(tree, 'services')).flatMap(({ value }) => passedOn(child(value, 'environment')));
  const files = ['configs', 'secrets'].flatMap((kind) =>
    entriesOf(child(tree, kind)).map(({ value }) => child(value, 'environment')),
  );
  const named = files.flatMap((node) => (node?.kind === 'scalar' ? [{ node, name: node.text }] : []));
  for (const { node, name } of [...services, ...named]) if (isSet(name)) tellOfReading(node, name, findings);
}

/** Variables of a service that have no value of their own. */
function passedOn(environment: Node | undefined): { readonly node: Node; readonly name: string }[] {
  if (environment?.kind === 'list')
    return environment.items.flatMap((item) =>
      item.kind === 'scalar' && !item.text.includes('=') ? [{ node: item, name: item.text }] : [],
    );
  // What is empty has no place worth showing: the key has.
  return entriesOf(environment)
    .filter(({ value }) => isNull(value))
    .map(({ key, value, name }) => ({ node: { ...value, start: key.start, end: key.end }, name }));
}

function entriesOf(node: Node | undefined): (Entry & { readonly name: string })[] {
  return node?.kind === 'map' ? [...node.entries].map(([name, entry]) => ({ ...entry, name })) : [];
}
