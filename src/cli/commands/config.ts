import { resolve } from 'node:path';
import {
  ComposeError,
  loadModel,
  loadProject,
  narrowProject,
  type OptionalStage,
  type Project,
  renderProject,
} from '../../compose/index.ts';
import type { Diagnostic } from '../../core/index.ts';
import { TscError } from '../../core/index.ts';
import { writeAtomically } from '../../host/index.ts';
import type { Context } from '../context.ts';
import { findingsReport } from '../view/findings.ts';

/** Options as the parser gives them: a `--no-…` switch that was given is false. */
export interface ConfigOptions {
  readonly format?: string;
  readonly quiet?: boolean;
  readonly output?: string;
  readonly services?: boolean;
  readonly volumes?: boolean;
  readonly networks?: boolean;
  readonly images?: boolean;
  readonly profiles?: boolean;
  readonly models?: boolean;
  readonly environment?: boolean;
  readonly variables?: boolean;
  readonly hash?: string;
  readonly explain?: string;
  readonly interpolate?: boolean;
  readonly normalize?: boolean;
  readonly pathResolution?: boolean;
  readonly consistency?: boolean;
  readonly envResolution?: boolean;
  readonly resolveImageDigests?: boolean;
  readonly lockImageDigests?: boolean;
}

type Format = 'yaml' | 'json';

/** `tscompose config` */
export async function run(context: Context, services: readonly string[], options: ConfigOptions): Promise<number> {
  const format = readFormat(options.format);
  const report = findingsReport(context.output, format, options.quiet === true);
  try {
    const { text, warnings, sources } = await show(context, services, { ...options, chosen: format });
    await report({ diagnostics: warnings, sources });
    if (options.quiet) return 0;
    if (options.output === undefined) await context.output.write(text);
    else await writeAtomically(resolve(context.currentDirectory, options.output), text, { mode: 0o644 });
    return 0;
  } catch (error) {
    if (!(error instanceof ComposeError)) throw error;
    await report(error);
    return 1;
  }
}

function readFormat(format = 'yaml'): Format {
  if (format === 'yaml' || format === 'json') return format;
  throw new TscError('cli/invalid', `config --format ${format} is unknown`, { hint: 'use yaml or json' });
}

/** What there is to print, and what the load found. */
interface Shown {
  readonly text: string;
  readonly warnings: readonly Diagnostic[];
  readonly sources: ReadonlyMap<string, string>;
}

type Request = ConfigOptions & { readonly chosen: Format };

async function show(context: Context, services: readonly string[], request: Request): Promise<Shown> {
  const quietly = { warnings: [], sources: new Map<string, string>() };
  if (request.explain !== undefined) {
    const { explainConfig } = await import('./config-explain.ts');
    return { ...quietly, text: await explainConfig(context, request.explain, request.format) };
  }
  if (request.variables) {
    const { showVariables } = await import('./config-projections.ts');
    return { ...quietly, text: await showVariables(context.loadOptions(services, 'show'), request.format) };
  }
  const without = leftOut(request);
  const projects = PROJECTIONS.some((name) => request[name]) || request.hash !== undefined;
  // Without variables only the names of services are certain.
  const names =
    request.interpolate === false && (request.services ? 'services' : request.images ? 'images' : undefined);
  if (without.length > 0 && (!projects || names)) {
    const model = await loadModel(context.loadOptions(services, 'show'), without);
    const text = names ? model[names].map((name) => `${name}\n`).join('') : model.render(request.chosen);
    return { ...model, text };
  }
  const asked = UNNARROWED.some((name) => request[name]) ? [] : services;
  const unchecked = request.consistency === false ? (['check-consistency'] as const) : [];
  const { project, ...found } = await loadProject(context.loadOptions(asked, 'show'), unchecked);
  const text = await showProject(context, narrowProject(project, asked), request);
  return { ...found, text };
}

/** Lists of the whole project, whatever services are named. */
const UNNARROWED = ['services', 'volumes', 'networks'] as const;

const PROJECTIONS = ['services', 'volumes', 'networks', 'images', 'profiles', 'models', 'environment'] as const;

async function showProject(context: Context, loaded: Project, request: Request): Promise<string> {
  const projection = PROJECTIONS.find((name) => request[name]);
  if (request.lockImageDigests) {
    const { lockImages } = await import('./config-digests.ts');
    return lockImages(context, loaded, request.chosen);
  }
  // Lists without images ask no registry.
  const isPinned = request.resolveImageDigests && (projection === undefined || projection === 'images');
  const project = isPinned ? await (await import('./config-digests.ts')).pinImages(context, loaded) : loaded;
  if (projection === undefined && request.hash === undefined)
    return request.quiet ? '' : renderProject(project, { format: request.chosen });
  const { project: projections, showHashes } = await import('./config-projections.ts');
  return projection === undefined ? showHashes(project, request.hash ?? '*') : projections[projection](project);
}

/** The stages that the switches leave out. */
function leftOut(options: ConfigOptions): OptionalStage[] {
  const rows: readonly (readonly [boolean | undefined, OptionalStage])[] = [
    [options.interpolate, 'interpolate'],
    [options.normalize, 'normalise'],
    [options.pathResolution, 'resolve-paths'],
    [options.consistency, 'check-consistency'],
    [options.envResolution, 'resolve-environment'],
  ];
  return rows.flatMap(([kept, stage]) => (kept === false ? [stage] : []));
}
