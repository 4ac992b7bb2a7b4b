import { explain, formatExplanation } from '../../compose/index.ts';
import type { Context } from '../context.ts';

/** `config --explain`: for people, or the same as one JSON document. */
export async function explainConfig(context: Context, subject: string, format: string | undefined): Promise<string> {
  const found = await explain(context.loadOptions([], 'show'), subject);
  return format === 'json' ? `${JSON.stringify(found, undefined, 2)}\n` : formatExplanation(found);
}
