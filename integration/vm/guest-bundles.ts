import { baseConfig, type Config, PAYLOAD, RUNTIME } from '../kit/bundle.ts';
import { type GuestFile, hostFile } from './initramfs.ts';

/** Scenarios of one machine with the bundles they use. */
export class GuestScenarios {
  readonly scripts: Record<string, string> = {};
  readonly files: GuestFile[] = [hostFile(RUNTIME, '/usr/bin/tscompose-runtime'), hostFile(PAYLOAD, '/bin/payload')];

  /** What these have, in their order. */
  constructor(...parts: readonly GuestScenarios[]) {
    for (const part of parts) {
      Object.assign(this.scripts, part.scripts);
      this.files.push(...part.files);
    }
  }

  /** A bundle `/b/NAME` whose container runs the payload with these words. */
  bundle(name: string, words: readonly string[], change: (config: Config) => void = () => undefined): void {
    const config = baseConfig(words, `/tscompose-vm/${name}`);
    change(config);
    this.files.push({ path: `/b/${name}/config.json`, content: JSON.stringify(config) });
  }

  add(name: string, script: string): void {
    this.scripts[name] = script;
  }
}

/**
 * Functions of the scenarios. `use NAME` enters a bundle and sets `g` to its control group; `create` leaves the container's output in
 * `out`; `gone` fails when anything of it is left.
 */
export const PRELUDE = `
rt="tscompose-runtime --root /run/rt"
use() {
  name=$1
  cd /b/$name
  g=/sys/fs/cgroup/tscompose-vm/$name
  mkdir -p rootfs/bin
  # Still running when a scenario before it failed.
  cp /bin/payload rootfs/bin/payload || test -e rootfs/bin/payload
}
fails() { if "$@"; then echo "succeeded: $*"; return 1; fi; }
has() { grep -q -F -e "$2" "$1" || { echo "$1 lacks: $2"; cat "$1"; return 1; }; }
lacks() { fails grep -q -F -e "$2" "$1"; }
same() { [ "$1" = "$2" ] || { echo "is: $1"; echo "not: $2"; return 1; }; }
until_ok() {
  tries=0
  until "$@"; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { echo "waited in vain: $*"; return 1; }
    sleep 0.1
  done
}
create() {
  $rt create --bundle /b/$name --pid-file pid "$@" $name >out 2>err </dev/null || { cat err; return 1; }
  pid=$(cat pid)
}
run() { status=0; $rt run $name >out 2>err </dev/null || status=$?; }
inside() { $rt exec $name /bin/payload "$@" </dev/null; }
gone() {
  fails test -e "$g"
  fails test -e /run/rt/$name
  lacks /proc/self/mountinfo /b/$name/
  lacks /proc/self/mountinfo overlay
}
remove() { $rt delete --force $name; gone; }
`;
