import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { removeTemporaries, writeAtomically } from './files.ts';

it('removes what interrupted writes left, and nothing else', async () => {
  const directory = mkdtempSync('/tmp/tsc-files-');
  try {
    await writeAtomically(join(directory, 'record.json'), '{}');
    for (const name of ['.record.json.0123456789ab.tmp', '.hidden', 'note.tmp', '.record.json.short.tmp'])
      writeFileSync(join(directory, name), '');
    await removeTemporaries(directory);
    expect(readdirSync(directory).sort()).toEqual(['.hidden', '.record.json.short.tmp', 'note.tmp', 'record.json']);
    await removeTemporaries(join(directory, 'absent'));
  } finally {
    rmSync(directory, { recursive: true });
  }
});
