import { TscError } from '../core/index.ts';
import type { Project } from './project.ts';

/** Writes the model as `docker compose config` does; the YAML text loads again to the same model. Ends with a newline. */
export function renderProject(project: Project, options: { readonly format: 'yaml' | 'json' }): string {
  throw new TscError('compose/unsupported', `rendering ${project.name} as ${options.format} is not wired yet`);
}
