# Sourced by the run scripts. fetch NAME POM: makes sure that the jars of POM are in the cache and sets $jars to their folder.
# Several test processes may call it at once: one fetches under a lock, into a folder that gets its name when it is complete.
cache=${SAGALINE_CACHE:-$HOME/.cache/sagaline}

fetch() {
  local name=$1 pom=$2 partial
  jars=$cache/$name
  mkdir -p "$cache"
  exec 9>"$cache/.$name.lock"
  flock 9
  if [ ! -d "$jars" ]; then
    command -v mvn > /dev/null || { echo "mvn is needed to fetch $name: install maven" >&2; exit 1; }
    partial=$(mktemp -d "$cache/.$name.XXXXXX")
    mvn -B -ntp -q -f "$pom" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$partial" >&2
    mv "$partial" "$jars"
  fi
  flock -u 9
  exec 9>&-
}

# Dies with whoever holds the other end of stdin, when that is a pipe: a killed test leaves no server behind.
die_with_parent() {
  [ -p /dev/stdin ] || return 0
  (cat > /dev/null; kill -9 -- -$$) <&0 > /dev/null 2>&1 &
}
