#!/bin/sh
# The smallest thing that has the command line of an OCI runtime: no namespaces, the "container" is BUNDLE/command held back
# by a fifo. It lets the monitor be tested apart from the real runtime, and stands for a foreign one.
set -eu
exec 3<&0 # a shell gives its background jobs /dev/null for stdin
while [ $# -gt 0 ]; do
  case $1 in
    --root) root=$2; shift 2 ;;
    --log) log=$2; shift 2 ;;
    --log-format) shift 2 ;;
    *) break ;;
  esac
done
verb=$1; shift
bundle='' pidfile='' process=''
while [ $# -gt 0 ]; do
  case $1 in
    --bundle) bundle=$2; shift 2 ;;
    --pid-file) pidfile=$2; shift 2 ;;
    --process) process=$2; shift 2 ;;
    --detach|--force) shift ;;
    *) id=$1; shift ;;
  esac
done
fail() { printf '{"level":"error","msg":"%s","time":"now"}\n' "$1" >"$log"; exit 1; }
case $verb in
  create)
    [ ! -e "$bundle/create-fails" ] || fail 'create failed: no such thing'
    [ ! -e "$bundle/create-mutters" ] || { echo 'words on stderr' >&2; exit 1; }
    mkdir -p "$root"
    mkdir "$root/$id"
    mkfifo "$root/$id/hold"
    sh -c 'read -r go <"$1"; [ "$go" = go ] || exit 1; exec sh "$2"' - "$root/$id/hold" "$bundle/command" <&3 3<&- &
    echo $! >"$pidfile" ;;
  start)
    [ ! -e "$root/$id/../start-fails" ] || fail 'exec nothing: No such file or directory'
    echo go >"$root/$id/hold" ;;
  exec)
    [ -e "$process" ] || fail "cannot open $process: No such file or directory"
    # It goes on when this shell is gone: a shell may reap what it started, and the status must be the monitor's.
    mkfifo "$pidfile.gate"
    sh -c 'cat "$1" >/dev/null; rm "$1"; exec sh "$2"' - "$pidfile.gate" "$process" <&3 3<&- &
    echo $! >"$pidfile"
    exec 4>"$pidfile.gate" ;;
  delete) rm -rf "${root:?}/$id" ;;
esac
