#!/usr/bin/env bash
# run.sh DIR PORT CONTROLLER_PORT [PORT:ADVERTISED_PORT ... | sasl_ssl:PORT]: real Apache Kafka (KRaft, loopback) in the foreground,
# its data in DIR. NODE=2 VOTERS=1@HOST:PORT,2@HOST:PORT,... make it one broker of several, which keep everything that is published on
# REPLICAS of them, and acknowledge it when MIN_INSYNC have it. Each further pair is a listener of its own, whose clients are told the second port: that of a proxy.
# sasl_ssl:PORT is a listener with TLS and sign-in (PLAIN and SCRAM-SHA-512) for the user `sagaline` with the password
# `swordfish-of-the-tests`; its certificate is in DIR/ca.pem.
# Says "Kafka Server started" on stdout when it accepts.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$1 port=$2 controller=$3
shift 3
. "$here/../fetch.sh"
fetch kafka-4.3.1 "$here/pom.xml"
mkdir -p "$dir"
listeners='' advertised='' protocols='' secured='' scram=()
for pair in "$@"; do
  if [[ $pair = sasl_ssl:* ]]; then
    secured=${pair##*:}
    listeners+=,SECURED://127.0.0.1:$secured advertised+=,SECURED://127.0.0.1:$secured protocols+=,SECURED:SASL_SSL
    continue
  fi
  name=PORT${pair%%:*}
  listeners+=,$name://127.0.0.1:${pair%%:*} advertised+=,$name://127.0.0.1:${pair##*:} protocols+=,$name:PLAINTEXT
done
sed "s#@NODE@#${NODE:-1}#; s#@VOTERS@#${VOTERS:-1@127.0.0.1:$controller}#; s#@REPLICAS@#${REPLICAS:-1}#; s#@MIN_INSYNC@#${MIN_INSYNC:-1}#
  s#@DIR@#$dir#; s#@PORT@#$port#g; s#@CONTROLLER_PORT@#$controller#g
  s#@LISTENERS@#$listeners#; s#@ADVERTISED@#$advertised#; s#@PROTOCOLS@#$protocols#" "$here/server.properties.in" > "$dir/server.properties"
if [ -n "$secured" ]; then
  user=sagaline password=swordfish-of-the-tests
  scram=(--add-scram "SCRAM-SHA-512=[name=$user,password=$password]")
  if [ ! -f "$dir/ca.pem" ]; then
    keytool -genkeypair -alias broker -keyalg EC -validity 30 -dname CN=127.0.0.1 -ext san=ip:127.0.0.1,dns:localhost \
      -storetype PKCS12 -keystore "$dir/broker.p12" -storepass "$password" >&2
    keytool -exportcert -rfc -alias broker -keystore "$dir/broker.p12" -storepass "$password" -file "$dir/ca.pem" >&2
  fi
  listener=listener.name.secured security=org.apache.kafka.common.security
  cat >> "$dir/server.properties" << PROPERTIES
$listener.ssl.keystore.type=PKCS12
$listener.ssl.keystore.location=$dir/broker.p12
$listener.ssl.keystore.password=$password
$listener.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
$listener.plain.sasl.jaas.config=$security.plain.PlainLoginModule required user_$user="$password";
$listener.scram-sha-512.sasl.jaas.config=$security.scram.ScramLoginModule required;
PROPERTIES
fi
# one compiler tier: these servers live for seconds
java=(java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "-Dlog4j2.configurationFile=$here/log4j2.properties" -cp "$jars/*")
if [ ! -f "$dir/data/meta.properties" ]; then
  "${java[@]}" -Xmx128m kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAQ -c "$dir/server.properties" --ignore-formatted "${scram[@]}"
fi
die_with_parent
exec "${java[@]}" -Xms64m -Xmx512m kafka.Kafka "$dir/server.properties" < /dev/null
