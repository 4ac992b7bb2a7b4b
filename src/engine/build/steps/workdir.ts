import { join } from 'node:path';
import { makeDirectory } from '../../../host/index.ts';
import { lowerOf, type Step } from '../stage-state.ts';
import type { StepWork } from './step-work.ts';

/** WORKDIR: the folder exists from then on. Made by copying an empty folder, which resolves the path inside the image. */
export function planWorkdir(step: Step, path: string): StepWork {
  return {
    does: ['workdir', path],
    async perform() {
      const directory = await step.scratch();
      const [upper, work, empty] = ['upper', 'work', 'empty'].map((name) => join(directory, name)) as [
        string,
        string,
        string,
      ];
      for (const made of [upper, work, empty]) await makeDirectory(made, 0o755);
      await step.tools.layers.tool.copy({
        lower: await lowerOf(step.state, step.tools),
        upper,
        work,
        source: { kind: 'directory', root: empty, paths: ['.'] },
        destination: path === '/' ? path : `${path}/`,
      });
      return { upper };
    },
  };
}
