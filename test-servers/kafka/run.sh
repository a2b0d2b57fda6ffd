#!/usr/bin/env bash
# run.sh DIR PORT CONTROLLER_PORT [PORT:ADVERTISED_PORT ...]: real Apache Kafka (KRaft, one node, loopback) in the foreground,
# its data in DIR. Each further pair is a listener of its own, whose clients are told the second port: that of a proxy.
# Says "Kafka Server started" on stdout when it accepts.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$1 port=$2 controller=$3
shift 3
. "$here/../fetch.sh"
fetch kafka-4.3.1 "$here/pom.xml"
mkdir -p "$dir"
listeners='' advertised='' protocols=''
for pair in "$@"; do
  name=PORT${pair%%:*}
  listeners+=,$name://127.0.0.1:${pair%%:*} advertised+=,$name://127.0.0.1:${pair##*:} protocols+=,$name:PLAINTEXT
done
sed "s#@DIR@#$dir#; s#@PORT@#$port#g; s#@CONTROLLER_PORT@#$controller#g
  s#@LISTENERS@#$listeners#; s#@ADVERTISED@#$advertised#; s#@PROTOCOLS@#$protocols#" "$here/server.properties.in" > "$dir/server.properties"
# one compiler tier: these servers live for seconds
java=(java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "-Dlog4j2.configurationFile=$here/log4j2.properties" -cp "$jars/*")
if [ ! -f "$dir/data/meta.properties" ]; then
  "${java[@]}" -Xmx128m kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAQ -c "$dir/server.properties" --ignore-formatted
fi
die_with_parent
exec "${java[@]}" -Xms64m -Xmx512m kafka.Kafka "$dir/server.properties" < /dev/null
