import { TscError } from '../../core/index.ts';
import { parseSingleInstruction } from '../../dockerfile/index.ts';
import type { ImageRunConfig } from '../images/index.ts';
import { applyToConfig, resolveWorkdir } from './stage-config.ts';

/** Applies Dockerfile instructions of `import --change` and `commit --change`; those that touch files are refused. */
export function applyChanges(run: ImageRunConfig, changes: readonly string[]): ImageRunConfig {
  return changes.reduce((config, text) => {
    const instruction = parseSingleInstruction(text, 'change');
    if (instruction.kind === 'workdir')
      return { ...config, workingDir: resolveWorkdir(config.workingDir, instruction.value) };
    const changed = applyToConfig(instruction, config, (word) => word);
    if (!changed)
      throw new TscError('build/unsupported', `${JSON.stringify(text)} cannot be used as a change`, {
        hint: 'CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR can',
      });
    return changed;
  }, run);
}
