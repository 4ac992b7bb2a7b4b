#!/bin/sh
# Makes this checkout ready: system packages (compiler, libraries, nftables) and npm packages.
# `--test` adds what the tests use. Nothing to do costs a fraction of a second.
# As root on Debian or Ubuntu the packages are installed; elsewhere the exact command is printed and the script stops.
set -eu
cd "$(dirname -- "$0")"

apt_build='gcc make libc6-dev pkg-config libseccomp-dev libjson-c-dev libarchive-dev libssl-dev zlib1g-dev nftables mmdebstrap'
apt_test='busybox-static iproute2 conntrack docker-registry apache2-utils openssl xz-utils ca-certificates curl python3 clang-format clang-14 libclang-rt-14-dev libarchive-tools zstd strace'
dnf_build='gcc make glibc-static pkgconf-pkg-config libseccomp-devel libseccomp-static json-c-devel libarchive-devel openssl-devel zlib-devel zlib-static nftables'
apk_build='gcc make musl-dev linux-headers pkgconf libseccomp-dev libseccomp-static json-c-dev libarchive-dev openssl-dev zlib-dev zlib-static nftables'
pacman_build='gcc make pkgconf libseccomp json-c libarchive openssl zlib nftables'

want=$apt_build
[ "${1:-}" = --test ] && want="$want $apt_test"

say() { printf 'setup: %s\n' "$*" >&2; }

stop_with() {
  say "these system packages are needed; install them and run the same command again:"
  printf '\n    %s\n\n' "$*" >&2
  exit 1
}

missing_apt() {
  for package in $want; do
    case "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" in
      installed) ;;
      *) printf '%s ' "$package" ;;
    esac
  done
}

install_apt() {
  missing=$(missing_apt)
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ]; then stop_with "sudo apt-get install --no-install-recommends $missing"; fi
  say "installing Debian packages: $missing"
  log=$(mktemp)
  # docker-registry is only run by tests, on ports of their own: its service must not start.
  # A lock held by another apt is waited for.
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  # shellcheck disable=SC2086
  if ! { apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing ||
    { apt-get -o DPkg::Lock::Timeout=300 update &&
      apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing; }; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    say "apt-get failed (last lines above); mend it or install the packages by hand: $missing"
    exit 1
  fi
  rm -f "$log"
}

tools_present() {
  command -v cc >/dev/null && command -v make >/dev/null && command -v nft >/dev/null && command -v pkg-config >/dev/null &&
    pkg-config --exists libseccomp json-c libarchive libcrypto zlib
}

if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
  install_apt
elif ! tools_present; then
  if command -v dnf >/dev/null; then stop_with "sudo dnf install $dnf_build"; fi
  if command -v apk >/dev/null; then stop_with "sudo apk add $apk_build"; fi
  if command -v pacman >/dev/null; then stop_with "sudo pacman -S --needed $pacman_build"; fi
  stop_with "a C compiler, make, pkg-config, nftables and the headers of libseccomp, json-c, libarchive, OpenSSL and zlib"
fi

stamp=node_modules/.tscompose-setup
wanted=$(sha256sum package-lock.json)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  say "installing npm packages"
  # The warnings are about the machine's own Node, which we do not run on, and about install scripts, which we do not need.
  # Not `npm ci`: it refuses a lock file without download addresses that has packages for other platforms. Versions and
  # integrity come from the lock file all the same.
  npm install --no-save --include=dev --include=optional --loglevel=error --no-audit --no-fund >&2
  printf '%s' "$wanted" >"$stamp"
fi
