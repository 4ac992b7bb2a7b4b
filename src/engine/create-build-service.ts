import { join } from 'node:path';
import { type BuildService, openBuilder } from './build/index.ts';
import type { Engine } from './engine-face.ts';

/** Opens the builder on an engine; its cache and work lie in `<data>/build`. */
export async function createBuildService(engine: Engine, dataDir: string): Promise<BuildService> {
  const { architecture } = await engine.info();
  const { images, layers, runStep } = engine;
  return openBuilder({ directory: join(dataDir, 'build'), images, layers, runStep, architecture });
}
