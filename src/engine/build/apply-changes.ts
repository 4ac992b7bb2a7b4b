import { TscError } from '../../core/index.ts';
import { parseSingleInstruction } from '../../dockerfile/index.ts';
import type { ImageRunConfig } from '../images/index.ts';
import { applyToConfig, resolveWorkdir } from './stage-config.ts';

/** Applies Dockerfile instructions of `import --change` and `commit --change`; those that touch files are refused. */
export function applyChanges(run: ImageRunConfig, changes: readonly string[]): ImageRunConfig {
  let config = run;
  for (const text of changes) {
    const instruction = parseSingleInstruction(text, 'change');
    const changed =
      instruction.kind === 'workdir'
        ? { ...config, workingDir: resolveWorkdir(config.workingDir, instruction.value) }
        : applyToConfig(instruction, config, (word) => word);
    if (!changed)
      throw new TscError('build/unsupported', `${JSON.stringify(text)} cannot be used as a change`, {
        hint: 'CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR can',
      });
    config = changed;
  }
  return config;
}
