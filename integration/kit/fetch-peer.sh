#!/bin/sh
# Downloads Debian packages of one suite and unpacks them below DIRECTORY/root, without installing anything.
# usage: fetch-peer.sh CACHE SUITE MIRROR DIRECTORY PACKAGE...
# `%PACKAGE` is the upstream source, unpacked below DIRECTORY/root/src.
# `+PACKAGE` brings its python3-* dependencies, `@PACKAGE` its golang-* ones; `=PACKAGE` stands for the packages it depends on.
set -eu
cache=$1 suite=$2 mirror=$3 directory=$4
shift 4
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
[ ! -e "$directory/complete" ] || exit 0

apt=$cache/apt-$suite
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/state"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$apt/sources.list"
options="-o Dir::Etc::sourcelist=$apt/sources.list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=$apt/lists
  -o Dir::State::status=/dev/null -o Dir::Cache=$apt/cache -o Acquire::Languages=none -o APT::Sandbox::User=root -qq"
case " $* " in *" %"*)
  echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >>"$apt/sources.list" ;;
esac
# shellcheck disable=SC2086
apt-get $options update

packages= sources=
for package in "$@"; do
  case $package in
    +* | @*)
      case $package in +*) wanted='^python3-' ;; *) wanted='^golang-' ;; esac
      package=${package#[+@]}
      # shellcheck disable=SC2086
      packages="$packages $package $(apt-cache $options depends --recurse --no-recommends --no-suggests --no-conflicts \
        --no-breaks --no-replaces --no-enhances "$package" | grep "$wanted" | tr '\n' ' ')"
      ;;
    =*)
      # shellcheck disable=SC2086
      packages="$packages $(apt-cache $options depends --important "${package#=}" | sed -n 's/.*Depends: //p' | tr '\n' ' ')"
      ;;
    %*) sources="$sources ${package#%}" ;;
    *) packages="$packages $package" ;;
  esac
done

work=$directory.new
rm -rf "$work" "$directory"
mkdir -p "$work/debs" "$work/root"
cd "$work/debs"
# shellcheck disable=SC2086
[ -z "$packages" ] || apt-get $options download $packages
# shellcheck disable=SC2086
[ -z "$sources" ] || apt-get $options source --download-only --tar-only $sources
for deb in *.deb; do [ ! -e "$deb" ] || dpkg -x "$deb" "$work/root"; done
for tar in *.orig.tar.*; do
  [ -e "$tar" ] || continue
  mkdir -p "$work/root/src"
  tar -xf "$tar" -C "$work/root/src" --strip-components=1
done
rm -rf "$work/debs"
touch "$work/complete"
mv "$work" "$directory"
