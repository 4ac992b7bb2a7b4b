import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What a reader took an archive for: one line per name, sorted; or that it refused. */
export type Reading = readonly string[] | 'refused';

const LETTERS: readonly [number, string][] = [
  [0o040000, 'd'],
  [0o120000, 'l'],
  [0o020000, 'c'],
  [0o060000, 'b'],
  [0o010000, 'p'],
];

const STARTED = Date.now() - 1000;

/** A tree as lines: name and type, mode, owner, time, size and digest of content, link target. Bytes of names as latin1. */
export function describeTree(root: string): string[] {
  const lines: string[] = [];
  const visit = (path: Buffer, name: string): void => {
    const at = lstatSync(path);
    const letter = LETTERS.find(([bits]) => (at.mode & 0o170000) === bits)?.[1] ?? 'f';
    const mode = letter === 'l' ? '' : (at.mode & 0o7777).toString(8);
    const digest = letter === 'f' ? `${at.size} ${createHash('sha1').update(readFileSync(path)).digest('hex')}` : '';
    const target = letter === 'l' ? readlinkSync(path, 'buffer').toString('latin1') : '';
    const seconds = Math.floor(at.mtimeMs / 1000);
    // A directory that was only implied has no time of its own.
    const implied = letter === 'd' && at.mtimeMs > STARTED;
    if (!implied) lines.push([JSON.stringify(name), letter, mode, at.uid, at.gid, seconds, digest, target].join(' '));
    if (letter === 'd') visitChildren(path, `${name}/`);
  };
  const visitChildren = (path: Buffer, prefix: string): void => {
    for (const child of readdirSync(path, 'buffer')) {
      visit(Buffer.concat([path, Buffer.from('/'), child]), prefix + child.toString('latin1'));
    }
  };
  visitChildren(Buffer.from(root), '');
  return lines.sort();
}

const PYTHON = `
import hashlib, json, os, sys, tarfile
def text(name):
    return os.fsencode(name).decode('latin1')
def quoted(name):
    return json.dumps(text(name), ensure_ascii=False)
def read(path):
    found = {}
    try:
        with tarfile.open(path, "r:", errorlevel=2) as tar:
            for m in tar:
                name = m.name.lstrip("/")
                if name in ("", "."): continue
                if name.startswith("./"): name = name[2:]
                letter = {tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l", tarfile.CHRTYPE: "c", tarfile.BLKTYPE: "b", tarfile.FIFOTYPE: "p"}.get(m.type, "f")
                if m.islnk():
                    found[name] = [quoted(name)] + found[m.linkname][1:]
                    continue
                digest = ""
                if letter == "f":
                    body = tar.extractfile(m).read()
                    if len(body) != m.size: return "refused"
                    digest = "%d %s" % (m.size, hashlib.sha1(body).hexdigest())
                mode = "" if letter == "l" else "%o" % (m.mode & 0o7777)
                target = text(m.linkname) if letter == "l" else ""
                found[name] = [quoted(name), letter, mode, m.uid, m.gid, int(m.mtime // 1), digest, target]
            # A header that it cannot read is the end for it, silently.
            tar.fileobj.seek(tar.offset)
            if tar.fileobj.read(512).strip(b"\\0"): return "refused"
    except Exception:
        return "refused"
    return sorted(" ".join(str(field) for field in entry) for entry in found.values())
print(json.dumps([read(path) for path in sys.argv[1:]]))
`;

/** What Python's tarfile makes of each archive. */
export function readWithPython(archives: readonly Buffer[]): Reading[] {
  const home = mkdtempSync(join(tmpdir(), 'tsc-tar-'));
  try {
    const paths = archives.map((bytes, index) => {
      const path = join(home, `${index}.tar`);
      writeFileSync(path, bytes);
      return path;
    });
    const out = execFileSync('python3', ['-c', PYTHON, ...paths], { encoding: 'utf8', maxBuffer: 1 << 28 });
    return JSON.parse(out) as Reading[];
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

function readByUnpacking(unpack: (root: string) => boolean): Reading {
  const home = mkdtempSync(join(tmpdir(), 'tsc-tar-'));
  const root = join(home, 'root');
  mkdirSync(root);
  try {
    return unpack(root) ? describeTree(root) : 'refused';
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

function runReader(program: string, args: readonly string[]): (archive: Buffer) => Reading {
  return (archive) =>
    readByUnpacking((root) => {
      const { status } = spawnSync(
        program,
        args.map((arg) => (arg === 'ROOT' ? root : arg)),
        { input: archive },
      );
      return status === 0;
    });
}

export const readWithGnuTar = runReader('tar', ['-xpf', '-', '--numeric-owner', '-C', 'ROOT']);
export const readWithBsdtar = runReader('bsdtar', ['-xpf', '-', '--numeric-owner', '-C', 'ROOT']);
/** Ours, by its program. */
export const readWithLayer = (program: string) => runReader(program, ['apply', '--root', 'ROOT']);
