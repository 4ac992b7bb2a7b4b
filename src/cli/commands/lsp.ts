import type { Context } from '../context.ts';
import { VERSION } from '../version.ts';

/** `tscompose lsp` */
export async function run(context: Context): Promise<number> {
  const { startLanguageServer } = await import('../../language-server/index.ts');
  const { stdin, stdout } = process;
  await startLanguageServer({ input: stdin, output: stdout, environment: context.environment, version: VERSION });
  return 0;
}
