import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expandText, expandWord, parseDockerfile, parseSingleInstruction } from './index.ts';
import { splitWords } from './words.ts';

const parse = (text: string) => parseDockerfile(text, 'Dockerfile');
const only = (text: string) => parse(`FROM a\n${text}`).stages[0]?.instructions[0];

describe('stages', () => {
  it('reads names, platforms and global arguments', () => {
    const file = parse(
      '# comment\nARG V=1\nFROM --platform=linux/amd64 golang:$V AS Build\nRUN make\nFROM scratch\nCOPY --from=build /a /b\n',
    );
    expect(file.globalArgs).toEqual([{ name: 'V', value: '1' }]);
    expect(file.stages.map(({ name, base, platform }) => ({ name, base, platform }))).toEqual([
      { name: 'build', base: 'golang:$V', platform: 'linux/amd64' },
      { name: undefined, base: 'scratch', platform: undefined },
    ]);
    expect(file.stages[1]?.instructions[0]).toMatchObject({
      kind: 'copy',
      from: 'build',
      sources: ['/a'],
      destination: '/b',
    });
  });

  it('joins continuation lines and skips comments inside', () => {
    expect(only('RUN a && \\\n# why\n\n  b \\\n  c')).toMatchObject({
      kind: 'run',
      command: { form: 'shell', text: 'a &&   b   c' },
      at: { line: 2 },
    });
  });

  it('knows the escape directive', () => {
    const file = parse('# escape=`\nFROM a\nRUN x `\n y \\');
    expect(file.escapeChar).toBe('`');
    expect(file.stages[0]?.instructions[0]).toMatchObject({ command: { text: 'x  y \\' } });
  });

  it('warns that a syntax image is not run', () => {
    expect(parse('# syntax=docker/dockerfile:1\nFROM a').warnings).toHaveLength(1);
  });
});

describe('instructions', () => {
  it.each([
    ['CMD ["a", "b"]', { kind: 'cmd', command: { form: 'exec', args: ['a', 'b'] } }],
    ['CMD [a, b]', { kind: 'cmd', command: { form: 'shell', text: '[a, b]' } }],
    [
      'ENV a=1 b="x y" c=\\ z',
      {
        kind: 'env',
        pairs: [
          { key: 'a', value: '1' },
          { key: 'b', value: '"x y"' },
          { key: 'c', value: '\\ z' },
        ],
      },
    ],
    ['ENV path /a b', { kind: 'env', pairs: [{ key: 'path', value: '/a b' }] }],
    ['ARG a b=2', { kind: 'arg', args: [{ name: 'a' }, { name: 'b', value: '2' }] }],
    [
      'COPY --chown=1:2 --chmod=755 a b c/',
      { kind: 'copy', chown: '1:2', chmod: '755', sources: ['a', 'b'], destination: 'c/' },
    ],
    ['COPY ["a b", "c"]', { kind: 'copy', sources: ['a b'], destination: 'c' }],
    ['ADD x.tar /', { kind: 'add', sources: ['x.tar'], destination: '/' }],
    ['EXPOSE 80 53/udp', { kind: 'expose', values: ['80', '53/udp'] }],
    ['VOLUME ["/a", "/b"]', { kind: 'volume', values: ['/a', '/b'] }],
    ['SHELL ["/bin/bash", "-c"]', { kind: 'shell', args: ['/bin/bash', '-c'] }],
    ['HEALTHCHECK NONE', { kind: 'healthcheck' }],
    [
      'HEALTHCHECK --interval=1s --retries=5 CMD curl -f x',
      { kind: 'healthcheck', interval: '1s', retries: 5, command: { form: 'shell', text: 'curl -f x' } },
    ],
    ['ONBUILD RUN x', { kind: 'onbuild', trigger: 'RUN x' }],
    ['run --network=none x', { kind: 'run', network: 'none' }],
    ['STOPSIGNAL SIGINT', { kind: 'stopsignal', value: 'SIGINT' }],
  ])('%s', (text, expected) => expect(only(text)).toMatchObject(expected));

  it('reads here-documents', () => {
    expect(only('RUN <<EOF\necho $a\nEOF')).toMatchObject({
      heredocs: [{ name: 'EOF', expand: true, content: 'echo $a\n' }],
    });
    expect(only('COPY <<-"x.txt" /etc/\n\thello\n\tx.txt')).toMatchObject({
      kind: 'copy',
      sources: [],
      destination: '/etc/',
      heredocs: [{ name: 'x.txt', expand: false, content: 'hello\n' }],
    });
  });

  it('reads one instruction alone', () => {
    expect(parseSingleInstruction('CMD ["x"]', '--change')).toMatchObject({ kind: 'cmd' });
  });
});

describe('refusals name the line', () => {
  it.each([
    ['', 'has no FROM'],
    ['RUN x', 'Dockerfile:1: RUN stands before the first FROM'],
    ['FROM a\nFORM b', 'Dockerfile:2: unknown instruction FORM'],
    ['FROM a\n\nRUN', 'Dockerfile:3: RUN needs an argument'],
    ['FROM a b', 'Dockerfile:1: FROM is malformed'],
    ['FROM a\nCOPY x', 'Dockerfile:2: COPY needs at least a source and a destination'],
    ['FROM a\nCOPY x y z', 'ends with /'],
    ['FROM a\nRUN --mount=type=cache,target=/x y', 'RUN --mount is not supported'],
    ['FROM a\nCOPY --link a b', 'COPY --link is not supported'],
    ['FROM a\nENV x', 'Dockerfile:2: ENV needs a value'],
    ['FROM a\nRUN <<X\ny', 'the here-document X is not closed'],
    ['FROM a AS b\nFROM c AS B', 'used twice'],
    ['FROM a\nHEALTHCHECK curl', 'HEALTHCHECK is malformed'],
    ['FROM a\nONBUILD FROM b', 'ONBUILD FROM is not allowed'],
    ['FROM a\nSHELL bash', 'SHELL needs a JSON array'],
  ])('%j', (text, message) => expect(() => parse(text)).toThrow(message));
});

describe('expansion', () => {
  const variables: Record<string, string> = { a: 'A', empty: '', file: 'x.tar.gz', list: 'a.b.a' };
  const lookup = (name: string) => variables[name];
  it.each([
    ['$a', 'A'],
    ['x${a}y', 'xAy'],
    ["'$a'", '$a'],
    ['"$a b"', 'A b'],
    ['\\$a', '$a'],
    ['$none', ''],
    ['${none:-d}', 'd'],
    ['${empty:-d}${empty-e}', 'd'],
    ['${a:+yes}${empty:+no}', 'yes'],
    ['${none:-${a}x}', 'Ax'],
    ['${file%.*} ${file%%.*} ${file#*.} ${file##*.}', 'x.tar x tar.gz gz'],
    ['${list/a/z} ${list//a/z}', 'z.b.a z.b.z'],
    ['a\\ b', 'a b'],
    ['"a\\"b\\c"', 'a"b\\c'],
    ['5$', '5$'],
  ])('%s', (word, value) => expect(expandWord(word, lookup)).toBe(value));

  it.each(['"open', "'open", '${', '${a', '${a^}', '${none:?must be set}'])('refuses %s', (word) => {
    expect(() => expandWord(word, lookup)).toThrow('cannot expand');
  });

  it('keeps quotes in text', () => expect(expandText('say "$a"', lookup)).toBe('say "A"'));
});

describe('hostile input', () => {
  it('never fails other than with an error of ours', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        try {
          parse(`FROM a\n${text}`);
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/^dockerfile\//) });
        }
      }),
    );
  });

  it.each([`"${'\\'.repeat(60_000)}`, '"'.repeat(60_001), "'".repeat(60_001), `$${'{a:-$'.repeat(2000)}`])(
    'is bounded in time (%#)',
    (text) => {
      splitWords(text, '\\');
      try {
        expandWord(text, () => undefined);
      } catch (error) {
        expect(error).toMatchObject({ code: 'dockerfile/invalid' });
      }
    },
  );
});
