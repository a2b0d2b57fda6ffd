#!/usr/bin/env bash
# start.sh kafka DIR PORT CONTROLLER_PORT | start.sh mongo DIR PORT [memory|h2]
# Starts a server in the background, its log in DIR/server.log, and returns when it accepts connections.
# The caller ends it: kill $(cat DIR/server.pid)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kind=$1 dir=$2
shift
case $kind in
  kafka) ready='Kafka Server started' ;;
  mongo) ready='listening' ;;
  *) echo "usage: start.sh kafka|mongo DIR PORT ..." >&2; exit 2 ;;
esac
mkdir -p "$dir"
setsid "$here/$kind/run.sh" "$@" > "$dir/server.log" 2>&1 < /dev/null &
echo $! > "$dir/server.pid"
# the first start fetches the jars
for _ in $(seq 1800); do
  kill -0 "$(cat "$dir/server.pid")" 2> /dev/null || { tail -20 "$dir/server.log" >&2; exit 1; }
  grep -q "$ready" "$dir/server.log" && { echo "$kind is ready on 127.0.0.1:$2"; exit 0; }
  sleep 0.1
done
echo "$kind is not ready after 180 s; see $dir/server.log" >&2
exit 1
