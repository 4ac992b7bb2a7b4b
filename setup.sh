#!/bin/sh
# Makes this checkout ready: system packages (compiler, libraries, nftables) and npm packages.
# `--test` adds what the tests use. Nothing to do costs a fraction of a second.
# As root on Debian or Ubuntu the packages are installed; elsewhere the exact command is printed and the script stops.
set -eu
cd "$(dirname -- "$0")"

apt_build='gcc make libc6-dev pkg-config libseccomp-dev libjson-c-dev libarchive-dev libssl-dev zlib1g-dev nftables mmdebstrap'
apt_test='busybox-static iproute2 conntrack docker-registry apache2-utils openssl xz-utils ca-certificates curl python3 clang-format clang-14 libclang-rt-14-dev libarchive-tools zstd'
dnf_build='gcc make glibc-static pkgconf-pkg-config libseccomp-devel libseccomp-static json-c-devel libarchive-devel openssl-devel zlib-devel zlib-static nftables'
apk_build='gcc make musl-dev linux-headers pkgconf libseccomp-dev libseccomp-static json-c-dev libarchive-dev openssl-dev zlib-dev zlib-static nftables'
pacman_build='gcc make pkgconf libseccomp json-c libarchive openssl zlib nftables'
