import { describeError, TscError } from '../../core/index.ts';

export interface StartFailure {
  readonly exitCode: number;
  readonly error: TscError;
}

const NOT_FOUND = /not found|no such file or directory|enoent/i;
const NOT_EXECUTABLE = /permission denied|exec format error|is a directory|not executable|eacces|enoexec/i;
const ABOUT_COMMAND = /\bexec(v|ve|ute|ution|utable)?\b|\$PATH|\bcommand\b|\bprogram\b/i;

/**
 * What a failed start means to users: 127 for a command that is not there, 126 for one that cannot be executed, 125 (128 in
 * the record, as clients expect of other failures) for everything else. Runtimes other than ours say it only in words.
 */
export function classifyStartFailure(cause: unknown, command: string): StartFailure {
  const text = describeError(cause);
  const aboutCommand = ABOUT_COMMAND.test(text) || (command !== '' && text.includes(command));
  if (aboutCommand && NOT_FOUND.test(text)) {
    return {
      exitCode: 127,
      error: new TscError(
        'container/invalid',
        `cannot start: exec: ${JSON.stringify(command)}: executable file not found: ${text}`,
        {
          cause,
          hint: 'check the command and the PATH inside the image',
        },
      ),
    };
  }
  if (aboutCommand && NOT_EXECUTABLE.test(text)) {
    const message = `cannot start: exec: ${JSON.stringify(command)}: ${reasonOf(text)}: ${text}`;
    return { exitCode: 126, error: new TscError('container/invalid', message, { cause }) };
  }
  const error =
    cause instanceof TscError ? cause : new TscError('container/failed', `cannot start: ${text}`, { cause });
  return { exitCode: 128, error };
}

/** In the words by which clients tell the exit status: they know only the message. */
function reasonOf(text: string): string {
  if (/is a directory/i.test(text)) return 'is a directory';
  return /exec format error|enoexec/i.test(text) ? 'exec format error' : 'permission denied';
}
