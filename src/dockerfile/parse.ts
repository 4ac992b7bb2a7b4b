import { type Position, TscError } from '../core/index.ts';
import type { Command, Dockerfile, Instruction, InstructionBody, KeyValue, Stage } from './instructions.ts';
import { dockerfileError, type LogicalLine, lex } from './lex.ts';
import { parseExecForm, splitWords, takeFlags } from './words.ts';

type BodyParser = (line: LogicalLine, escapeChar: string) => InstructionBody;

const PARSERS: Readonly<Record<string, BodyParser>> = Object.assign(Object.create(null), {
  RUN: parseRun,
  CMD: (line: LogicalLine) => ({ kind: 'cmd', command: parseCommand(line.rest) }),
  ENTRYPOINT: (line: LogicalLine) => ({ kind: 'entrypoint', command: parseCommand(line.rest) }),
  ENV: (line: LogicalLine, escapeChar: string) => ({ kind: 'env', pairs: parsePairs(line, escapeChar) }),
  LABEL: (line: LogicalLine, escapeChar: string) => ({ kind: 'label', pairs: parsePairs(line, escapeChar) }),
  ARG: parseArg,
  COPY: parseCopy,
  ADD: parseCopy,
  WORKDIR: (line: LogicalLine) => ({ kind: 'workdir', value: needOne(line) }),
  USER: (line: LogicalLine) => ({ kind: 'user', value: needOne(line) }),
  STOPSIGNAL: (line: LogicalLine) => ({ kind: 'stopsignal', value: needOne(line) }),
  MAINTAINER: (line: LogicalLine) => ({ kind: 'maintainer', value: needOne(line) }),
  EXPOSE: (line: LogicalLine, escapeChar: string) => ({
    kind: 'expose',
    values: splitWords(needOne(line), escapeChar),
  }),
  VOLUME: (line: LogicalLine, escapeChar: string) => ({
    kind: 'volume',
    values: parseExecForm(line.rest) ?? splitWords(needOne(line), escapeChar),
  }),
  SHELL: parseShell,
  HEALTHCHECK: parseHealthcheck,
  ONBUILD: parseOnbuild,
});

/**
 * Reads a Dockerfile into stages. Names in `AS` and keywords are case-insensitive. What the reference has and this
 * version does not do is refused by name with its line. Throws `dockerfile/invalid` or `dockerfile/unsupported`.
 */
export function parseDockerfile(text: string, file = 'Dockerfile'): Dockerfile {
  const { escapeChar, lines, directives } = lex(text, file);
  const globalArgs: { name: string; value?: string }[] = [];
  const stages: { head: Omit<Stage, 'instructions'>; instructions: Instruction[] }[] = [];
  for (const line of lines) {
    const stage = stages.at(-1);
    if (line.keyword === 'FROM') stages.push({ head: parseFrom(line, stages.length), instructions: [] });
    else if (stage) stage.instructions.push(parseInstruction(line, escapeChar));
    else if (line.keyword === 'ARG') globalArgs.push(...parseArg(line, escapeChar).args);
    else throw dockerfileError(line.at, `${line.keyword} stands before the first FROM`, 'only ARG may precede FROM');
  }
  if (stages.length === 0) throw new TscError('dockerfile/invalid', `${file} has no FROM instruction`);
  checkStageNames(stages.map((stage) => stage.head));
  const syntax = directives.get('syntax');
  return {
    escapeChar,
    globalArgs,
    stages: stages.map((stage) => ({ ...stage.head, instructions: stage.instructions })),
    warnings:
      syntax === undefined
        ? []
        : [`${file}: the syntax image ${syntax} is not run; the built-in parser reads this file`],
  };
}

/** Reads one instruction outside a file, as ONBUILD triggers and `import --change` give them. */
export function parseSingleInstruction(text: string, origin: string): Instruction {
  const { lines, escapeChar } = lex(text, origin);
  const [line, ...more] = lines;
  if (!line || more.length > 0) throw new TscError('dockerfile/invalid', `${origin}: expected one instruction`);
  return parseInstruction(line, escapeChar);
}

function parseInstruction(line: LogicalLine, escapeChar: string): Instruction {
  const parse = PARSERS[line.keyword];
  if (!parse) {
    const hint = `known instructions: FROM, ${Object.keys(PARSERS).join(', ')}`;
    throw dockerfileError(line.at, `unknown instruction ${line.keyword}`, hint);
  }
  if (line.rest === '') throw dockerfileError(line.at, `${line.keyword} needs an argument`);
  return { ...parse(line, escapeChar), at: line.at, text: `${line.keyword} ${line.rest}` };
}

function parseFrom(line: LogicalLine, index: number): Omit<Stage, 'instructions'> {
  const { flags, rest } = takeFlags(line.rest);
  refuseFlags(line, flags, ['platform']);
  const match = /^(\S+)(?:\s+[aA][sS]\s+(\S+))?$/.exec(rest.trim());
  if (!match) throw dockerfileError(line.at, 'FROM is malformed', 'write FROM image [AS name]');
  const name = match[2]?.toLowerCase();
  if (name !== undefined && !/^[a-z][a-z0-9_.-]*$/.test(name))
    throw dockerfileError(line.at, `invalid stage name ${JSON.stringify(match[2])}`);
  const platform = flags.get('platform');
  return {
    index,
    base: match[1] ?? '',
    at: line.at,
    text: `FROM ${line.rest}`,
    ...(name !== undefined && { name }),
    ...(platform !== undefined && { platform }),
  };
}

function checkStageNames(stages: readonly Omit<Stage, 'instructions'>[]): void {
  const seen = new Set<string>();
  for (const stage of stages) {
    if (stage.name === undefined) continue;
    if (seen.has(stage.name)) throw dockerfileError(stage.at, `the stage name ${stage.name} is used twice`);
    seen.add(stage.name);
  }
}

/** Flags of the reference that a later version does are refused by name, never dropped. */
function refuseFlags(line: LogicalLine, flags: ReadonlyMap<string, string>, known: readonly string[]): void {
  for (const name of flags.keys()) {
    if (known.includes(name)) continue;
    const message = `${line.at.file}:${line.at.line}: ${line.keyword} --${name} is not supported`;
    const hint =
      known.length > 0 ? `supported flags: ${known.map((flag) => `--${flag}`).join(', ')}` : 'remove the flag';
    throw new TscError('dockerfile/unsupported', message, { hint });
  }
}

function parseCommand(rest: string): Command {
  const args = parseExecForm(rest);
  return args ? { form: 'exec', args } : { form: 'shell', text: rest };
}

function parseRun(line: LogicalLine): InstructionBody {
  const { flags, rest } = takeFlags(line.rest);
  refuseFlags(line, flags, ['network']);
  const network = flags.get('network');
  if (network !== undefined && !['default', 'none', 'host'].includes(network)) {
    throw dockerfileError(line.at, `invalid network ${JSON.stringify(network)}`, 'use default, none or host');
  }
  if (rest === '') throw dockerfileError(line.at, 'RUN needs a command');
  return {
    kind: 'run',
    command: parseCommand(rest),
    heredocs: line.heredocs,
    ...(network !== undefined && { network }),
  };
}

function needOne(line: LogicalLine): string {
  if (line.rest === '') throw dockerfileError(line.at, `${line.keyword} needs an argument`);
  return line.rest;
}

/** `KEY=value …` or the old form `KEY value with blanks`. */
function parsePairs(line: LogicalLine, escapeChar: string): KeyValue[] {
  const words = splitWords(line.rest, escapeChar);
  const first = words[0] ?? '';
  if (!first.includes('=')) {
    const [, key = '', value] = /^(\S+)\s+([\s\S]+)$/.exec(line.rest) ?? [];
    if (value === undefined)
      throw dockerfileError(line.at, `${line.keyword} needs a value`, `write ${line.keyword} ${first || 'KEY'}=value`);
    return [{ key, value }];
  }
  return words.map((word) => {
    const equals = word.indexOf('=');
    if (equals < 1) {
      throw dockerfileError(
        line.at,
        `${line.keyword}: ${JSON.stringify(word)} is not KEY=value`,
        'quote values that contain blanks',
      );
    }
    return { key: word.slice(0, equals), value: word.slice(equals + 1) };
  });
}

function parseArg(line: LogicalLine, escapeChar: string): Extract<InstructionBody, { kind: 'arg' }> {
  const args = splitWords(needOne(line), escapeChar).map((word) => {
    const equals = word.indexOf('=');
    const name = equals < 0 ? word : word.slice(0, equals);
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      throw dockerfileError(line.at, `invalid ARG name ${JSON.stringify(name)}`);
    return equals < 0 ? { name } : { name, value: word.slice(equals + 1) };
  });
  return { kind: 'arg', args };
}

function parseCopy(line: LogicalLine, escapeChar: string): InstructionBody {
  const { flags, rest } = takeFlags(line.rest);
  const kind = line.keyword === 'COPY' ? 'copy' : 'add';
  refuseFlags(line, flags, kind === 'copy' ? ['from', 'chown', 'chmod'] : ['chown', 'chmod']);
  const words = parseExecForm(rest) ?? splitWords(rest, escapeChar);
  const destination = words.at(-1);
  const sources = words.slice(0, -1).filter((word) => !/^<</.test(word));
  if (destination === undefined || sources.length + line.heredocs.length === 0) {
    throw dockerfileError(line.at, `${line.keyword} needs at least a source and a destination`);
  }
  if (sources.length + line.heredocs.length > 1 && !destination.endsWith('/')) {
    throw dockerfileError(line.at, `${line.keyword} with several sources needs a destination that ends with /`);
  }
  const optional = (name: 'from' | 'chown' | 'chmod') => {
    const value = flags.get(name);
    return value === undefined ? {} : { [name]: value };
  };
  return {
    kind,
    sources,
    destination,
    heredocs: line.heredocs,
    ...optional('from'),
    ...optional('chown'),
    ...optional('chmod'),
  };
}

function parseShell(line: LogicalLine): InstructionBody {
  const args = parseExecForm(line.rest);
  if (!args || args.length === 0)
    throw dockerfileError(line.at, 'SHELL needs a JSON array', 'for example SHELL ["/bin/bash", "-c"]');
  return { kind: 'shell', args };
}

function parseHealthcheck(line: LogicalLine): InstructionBody {
  const { flags, rest } = takeFlags(line.rest);
  refuseFlags(line, flags, ['interval', 'timeout', 'start-period', 'start-interval', 'retries']);
  if (/^none$/i.test(rest.trim())) return { kind: 'healthcheck' };
  const match = /^cmd\s+([\s\S]+)$/i.exec(rest);
  if (!match)
    throw dockerfileError(
      line.at,
      'HEALTHCHECK is malformed',
      'write HEALTHCHECK [flags] CMD command, or HEALTHCHECK NONE',
    );
  const retries = flags.get('retries');
  if (retries !== undefined && !/^[1-9][0-9]{0,3}$/.test(retries))
    throw dockerfileError(line.at, `invalid --retries ${JSON.stringify(retries)}`);
  const pick = (flag: string, key: string) => (flags.has(flag) ? { [key]: flags.get(flag) } : {});
  return {
    kind: 'healthcheck',
    command: parseCommand(match[1] ?? ''),
    ...pick('interval', 'interval'),
    ...pick('timeout', 'timeout'),
    ...pick('start-period', 'startPeriod'),
    ...pick('start-interval', 'startInterval'),
    ...(retries !== undefined && { retries: Number(retries) }),
  };
}

function parseOnbuild(line: LogicalLine, escapeChar: string): InstructionBody {
  const keyword = (/^\S+/.exec(line.rest)?.[0] ?? '').toUpperCase();
  if (['ONBUILD', 'FROM', 'MAINTAINER'].includes(keyword))
    throw dockerfileError(line.at, `ONBUILD ${keyword} is not allowed`);
  const inner: LogicalLine = { ...line, keyword, rest: line.rest.slice(keyword.length).trim() };
  parseInstruction(inner, escapeChar);
  return { kind: 'onbuild', trigger: line.rest };
}

/** The place of an instruction as `file:line`. */
export function placeOf(at: Position): string {
  return `${at.file}:${at.line}`;
}
