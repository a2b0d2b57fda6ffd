#!/usr/bin/env bash
# run.sh DIR PORT [memory|h2]: a server that speaks the MongoDB wire protocol, on loopback, in the foreground; h2 keeps its
# data in DIR and every acknowledged write over kill -9. Says "listening" on stdout when it accepts.
# MONGO_TEST_HEAP bounds its memory (512m).
# Connect with mongodb://127.0.0.1:PORT/?directConnection=true
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$1 port=$2 kind=${3:-memory}
. "$here/../fetch.sh"
fetch mongo-java-server-1.47.0 "$here/pom.xml"
mkdir -p "$dir"
# the launcher is compiled once per version of its source
classes=$cache/mongo-launcher-$(sha256sum "$here/MongoTestServer.java" | cut -c1-16)
if [ ! -d "$classes" ]; then
  partial=$(mktemp -d "$cache/.mongo-launcher.XXXXXX")
  javac -cp "$jars/*" -d "$partial" "$here/MongoTestServer.java" >&2
  # whoever is second finds the folder there, with the same content
  mv -T "$partial" "$classes" 2> /dev/null || rm -rf "$partial"
fi
die_with_parent
exec java "-Xmx${MONGO_TEST_HEAP:-512m}" -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
  -cp "$classes:$jars/*" MongoTestServer "$port" "$kind" "$dir/mongo.h2" < /dev/null
