import { existsSync } from 'node:fs';

/** Fails early, with the command to run, when what the scenarios need is not built. */
export default function setup(): void {
  for (const file of ['dist/native/tscompose-runtime', 'dist/native/tscompose-layer']) {
    if (!existsSync(new URL(`../../${file}`, import.meta.url)))
      throw new Error(`${file} is missing: run npm run build`);
  }
  if (process.getuid?.() !== 0) throw new Error('integration scenarios need root');
}
