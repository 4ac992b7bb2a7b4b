import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { applyChanges } from '../../src/engine/build/index.ts';
import { type ImageStore, openImageStore } from '../../src/engine/images/index.ts';
import { type LayerStore, type LayerTool, openLayerStore, openLayerTool } from '../../src/engine/layers/index.ts';
import { systemClock } from '../../src/host/index.ts';
import { openRegistry, type Registry } from '../../src/registry/index.ts';

/** The native helper as built by `make -C runtime`; the variable puts an instrumented one in its place. */
export const LAYER_PROGRAM =
  process.env['TSCOMPOSE_LAYER_PROGRAM'] ?? resolve(import.meta.dirname, '../../dist/native/tscompose-layer');

/** Image and layer stores in a directory of their own. */
export interface TestStores extends AsyncDisposable {
  readonly directory: string;
  readonly tool: LayerTool;
  readonly layers: LayerStore;
  readonly images: ImageStore;
}

export async function openTestStores(registry: Registry = openRegistry()): Promise<TestStores> {
  const directory = mkdtempSync(join(tmpdir(), 'tsc-stores-'));
  const tool = openLayerTool({ program: LAYER_PROGRAM });
  const layers = await openLayerStore({ directory: join(directory, 'layers'), tool });
  const images = await openImageStore({
    directory: join(directory, 'images'),
    layers,
    registry,
    clock: systemClock,
    applyChanges,
  });
  return {
    directory,
    tool,
    layers,
    images,
    [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true, force: true }),
  };
}
