import type { Context } from '../context.ts';
import { remoteFiles } from '../remote/open-remote-files.ts';
import { VERSION } from '../version.ts';

/** `tscompose lsp` */
export async function run(context: Context): Promise<number> {
  const { startLanguageServer } = await import('../../language-server/index.ts');
  const { stdin: input, stdout: output } = process;
  const { environment, root } = context;
  // An editor loads at every keystroke: it takes what the command has fetched.
  const remote = remoteFiles(root.trustRemote, environment, true);
  await startLanguageServer({ input, output, environment, version: VERSION, remote });
  return 0;
}
