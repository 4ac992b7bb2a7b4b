import { TscError } from '../../core/index.ts';
import { ComposeError } from '../compose-error.ts';
import { startRun } from '../load.ts';
import type { LoadOptions } from '../load-options.ts';
import { ALL_STAGES, loadTree } from '../load-tree.ts';
import { orderFindings } from '../order-findings.ts';
import { COMPOSE_SCHEMA } from '../schema.ts';
import type { Explanation } from './explanation.ts';
import { explainPath } from './path.ts';
import { explainVariable } from './variables.ts';

/**
 * Where a value came from: a path such as `services.web.ports[0]`, or the name of a variable. Works on files with errors
 * too, as long as they can be merged; throws `ComposeError` otherwise and `compose/not-found` for what nobody mentions.
 */
export async function explain(options: LoadOptions, subject: string): Promise<Explanation> {
  const run = startRun({ ...options, purpose: 'show' }, ALL_STAGES);
  const loaded = await loadTree(run);
  if (!loaded) throw new ComposeError(orderFindings(run.findings.all, run.sources), run.sources);
  const isName = /^[A-Za-z_]\w*$/.test(subject) && !Object.hasOwn(COMPOSE_SCHEMA.properties ?? {}, subject);
  const found = isName ? explainVariable(subject, run, loaded) : explainPath(subject, run, loaded);
  if (found.value !== undefined || found.steps.length > 0) return found;
  throw new TscError('compose/not-found', `nothing in these files speaks of ${JSON.stringify(subject)}`, {
    hint: 'write a path such as services.web.image, or the name of a variable',
  });
}
