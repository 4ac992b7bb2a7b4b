import { chownSync, copyFileSync, lchownSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { type Config, type ConfigMount, PAYLOAD, RUNTIME } from '../kit/bundle.ts';
import { Containers, FIRST_ID, MAP, withUsers } from './containers.ts';

let containers: Containers;
beforeAll(() => {
  containers = new Containers();
});
afterAll(() => containers.close());

/** A volume on the disk: its root belongs to id 0, one file to 5:6. */
function volume(name: string): string {
  const path = join(containers.shop.directory, name);
  mkdirSync(join(path, 'below'), { recursive: true });
  writeFileSync(join(path, 'file'), 'content');
  chownSync(join(path, 'file'), 5, 6);
  return path;
}

const mounted =
  (source: string, more: Partial<ConfigMount>, users = false) =>
  (config: Config) => {
    if (users) withUsers(config);
    config.mounts.push({ destination: '/volume', type: 'bind', source, options: ['bind'], ...more });
  };
const maps = (hostID: number) => {
  const map = [{ containerID: 0, hostID, size: 65_536 }];
  return { uidMappings: map, gidMappings: map };
};
const look = ['stat', '/volume', 'stat', '/volume/file', 'write', '/volume/made', 'x', 'stat', '/volume/made'];

describe('id-mapped bind mounts', () => {
  test('in a user namespace, with its maps: files on the disk belong to the ids seen inside', async () => {
    const source = volume('own');
    const text = await containers.inside(look, mounted(source, { options: ['bind', 'idmap'] }, true));
    expect(text).toContain('stat /volume: mode=40755 uid=0 gid=0');
    expect(text).toContain('stat /volume/file: mode=100644 uid=5 gid=6');
    expect(text).toContain('stat /volume/made: mode=100644 uid=0 gid=0');
    expect(statSync(join(source, 'made'))).toMatchObject({ uid: 0, gid: 0 });
    expect(statSync(join(source, 'file'))).toMatchObject({ uid: 5, gid: 6 });
  });

  test('without idmap the same volume is nobody there', async () => {
    const text = await containers.inside(look, mounted(volume('plain'), {}, true));
    expect(text).toContain('stat /volume: mode=40755 uid=65534 gid=65534');
    expect(text).toContain('write /volume/made: Permission denied');
  });

  test('with maps of the mount, without a user namespace', async () => {
    const source = volume('mapped');
    const text = await containers.inside(
      look,
      (config) => {
        mounted(source, maps(3000))(config);
        config.process.user = { uid: 3000, gid: 3000 };
      },
      0,
    );
    expect(text).toContain('stat /volume: mode=40755 uid=3000 gid=3000');
    expect(text).toContain('stat /volume/file: mode=100644 uid=3005 gid=3006');
    expect(text).toContain('stat /volume/made: mode=100644 uid=3000 gid=3000');
    expect(statSync(join(source, 'made')).uid).toBe(0);
  });

  test('with maps of the mount inside a user namespace: by the ids outside', async () => {
    const text = await containers.inside(look, mounted(volume('both'), maps(FIRST_ID + 100), true));
    expect(text).toContain('stat /volume: mode=40755 uid=100 gid=100');
    expect(text).toContain('stat /volume/file: mode=100644 uid=105 gid=106');
  });

  test('with the user namespace joined by path', async () => {
    const first = await containers.created(containers.bundle(['pause'], withUsers));
    const text = await containers.inside(look, (config) => {
      config.linux.namespaces.push({ type: 'user', path: `/proc/${first.pid}/ns/user` });
      mounted(volume('joined'), { options: ['bind', 'idmap'] })(config);
    });
    expect(text).toContain('stat /volume/file: mode=100644 uid=5 gid=6');
    await first.remove();
  });

  test('ridmap maps the mounts below, idmap the first alone', async () => {
    const source = volume('deep');
    const text = async (option: string) => {
      const bundle = containers.bundle(
        ['stat', '/volume/below'],
        mounted(source, { options: ['rbind', option] }, true),
      );
      const result = await runProgram('/usr/bin/unshare', [
        ...['-m', '/bin/sh', '-ec', 'mount -t tmpfs -o mode=700 deep "$1"; shift; exec "$@"', 'sh'],
        ...[join(source, 'below'), RUNTIME],
        ...[...bundle.options, 'run', '--bundle', bundle.directory, bundle.id],
      ]);
      expect(result).toMatchObject({ status: 0, stderr: '' });
      return result.stdout;
    };
    expect(await text('ridmap')).toContain('mode=40700 uid=0 gid=0');
    expect(await text('idmap')).toContain('mode=40700 uid=65534 gid=65534');
  });

  test('ids outside the map can neither be seen nor taken', async () => {
    const source = volume('narrow');
    lchownSync(join(source, 'file'), 70_000, 70_000);
    const narrow = { uidMappings: [{ containerID: 0, hostID: 0, size: 10 }], gidMappings: MAP };
    const text = await containers.inside(['stat', '/volume/file'], mounted(source, narrow), 0);
    expect(text).toContain('uid=65534 gid=65534');
  });

  test('where the file system cannot, that is said', async () => {
    const source = '/proc/self/fdinfo';
    const message = await containers.refusal(mounted(source, maps(1)));
    expect(message).toContain(`the file system of ${source} cannot be id-mapped by this kernel`);
  });
});

describe('the overlay', () => {
  /** Layers as an image store keeps them: all belong to the ids of the image. */
  const layers = (name: string) => {
    const place = join(containers.shop.directory, name);
    const paths = ['top', 'bottom', 'own/upper', 'own/work'].map((part) => join(place, part));
    for (const path of paths) mkdirSync(path, { recursive: true });
    const [top = '', bottom = '', upper = '', work = ''] = paths;
    writeFileSync(join(bottom, 'file'), 'of the image');
    chownSync(join(bottom, 'file'), 33, 34);
    for (const part of ['bin', 'proc', 'dev', 'sys']) mkdirSync(join(top, part));
    copyFileSync(PAYLOAD, join(top, 'bin/payload'));
    return { lower: [top, bottom], upper, work };
  };
  const words = ['stat', '/', 'stat', '/file', 'write', '/made', 'x', 'write', '/file', 'y', 'stat', '/file', 'mounts'];

  test('of a user namespace is made of id-mapped layers: no copy of an image for each range', async () => {
    const { lower, upper, work } = layers('mapped-layers');
    const text = await containers.inside(words, (config) => {
      withUsers(config);
      config.annotations['dev.tscompose.overlay'] = JSON.stringify({ lower, upper, work, idmap: true });
      const all = ['CAP_DAC_OVERRIDE'];
      config.process['capabilities'] = { bounding: all, permitted: all, effective: all };
    });
    expect(text).toContain('stat /: mode=40755 uid=0 gid=0');
    expect(text).toContain('stat /file: mode=100644 uid=33 gid=34');
    expect(text).toContain('write /made: ok\nwrite /file: ok\n');
    expect(text).not.toContain(containers.shop.directory);
    expect(statSync(join(upper, 'made'))).toMatchObject({ uid: 0, gid: 0 });
    expect(statSync(join(upper, 'file'))).toMatchObject({ uid: 33, gid: 34 });
    expect(readFileSync(join(lower[1] ?? '', 'file'), 'utf8')).toBe('of the image');
  });

  test('without idmap they are nobody’s; upper and work apart are refused', async () => {
    const { lower, upper, work } = layers('plain-layers');
    const plain = await containers.inside(words, (config) => {
      withUsers(config);
      config.annotations['dev.tscompose.overlay'] = JSON.stringify({ lower });
    });
    expect(plain).toContain('stat /file: mode=100644 uid=65534 gid=65534');
    const apart = await containers.refusal((config) => {
      withUsers(config);
      config.annotations['dev.tscompose.overlay'] = JSON.stringify({
        lower,
        upper,
        work: `${work}/below`,
        idmap: true,
      });
    });
    expect(apart).toContain('idmap needs upper and work in one directory');
  });
});
