# Sourced by the scripts of this folder and by .ci/run.
# shellcheck shell=bash disable=SC2034
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
cache=${SAGALINE_CACHE:-$HOME/.cache/sagaline}
PATH=$PATH:$cache/tools:$HOME/.cargo/bin

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
fail() { warn "error: $*"; exit 1; }
have() { command -v "$1" > /dev/null 2>&1; }

# needs COMMAND...: fails when one of them is not installed.
needs() {
  local missing=()
  for command in "$@"; do have "$command" || missing+=("$command"); done
  [ ${#missing[@]} -eq 0 ] || fail "not installed: ${missing[*]}. scripts/setup installs it"
}

# Where scripts/setup installs schemathesis, with everything it needs, at the version that test-api.requirements pins.
schemathesis_home() { printf '%s/schemathesis-%s' "$cache" "$(sed -n 's/^schemathesis==//p' "$root/scripts/test-api.requirements")"; }
schemathesis_command() { printf '%s/bin/schemathesis' "$(schemathesis_home)"; }

# port_is_taken PORT: whether anything listens there on this machine.
port_is_taken() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

# What this script has started, and where it keeps what is needed only while it runs.
started=()
scratch=

scratch_dir() {
  [ -n "$scratch" ] || scratch=$(mktemp -d "${TMPDIR:-/tmp}/sagaline.XXXXXX")
}

# Ends what was started, the latest first, and waits for it. Every process of ours drains on SIGTERM and exits with 0.
stop_started() {
  local pid failed=0 i
  for ((i = ${#started[@]} - 1; i >= 0; i--)); do
    pid=${started[i]}
    kill -TERM "$pid" 2> /dev/null || true
    wait "$pid" || failed=$?
  done
  started=()
  return "$failed"
}

clean_up() {
  local code=$?
  trap - EXIT INT TERM
  stop_started || code=$(( code == 0 ? 1 : code ))
  [ -z "$scratch" ] || rm -rf "$scratch"
  exit "$code"
}

# Everything that a script starts ends with it, however it ends.
clean_up_at_exit() {
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# start_sagaline BINARY ARGUMENTS...: starts `sagaline up` in the background and returns when it serves, with its addresses
# in $addresses (JSON) and its log in $scratch/sagaline.log.
start_sagaline() {
  local binary=$1 line pipe
  shift
  scratch_dir
  pipe=$scratch/sagaline.out
  rm -f "$pipe"
  mkfifo "$pipe"
  # a session of its own: Ctrl-C reaches this script, and the script tells it to stop, once
  setsid "$binary" up "$@" > "$pipe" 2> "$scratch/sagaline.log" &
  started+=($!)
  exec 3< "$pipe"
  addresses=
  while read -r -t 90 line <&3; do
    case $line in 'ready '*) addresses=${line#ready }; break ;; esac
  done
  if [ -z "$addresses" ]; then
    tail -20 "$scratch/sagaline.log" >&2
    fail "sagaline did not become ready; the end of its log is above"
  fi
  # what it still has to say must not fill the pipe
  cat <&3 >> "$scratch/sagaline.log" &
  exec 3<&-
}

# address NAME: one of the addresses that start_sagaline got.
address() { jq -er --arg name "$1" '.[$name]' <<< "$addresses"; }

# stage NAME COMMAND...: runs a command and tells how long it took.
stage() {
  local name=$1 begin=$SECONDS
  shift
  say "── $name"
  "$@"
  stages+=("$(printf '%6d s  %s' "$((SECONDS - begin))" "$name")")
}
stages=()
