#!/usr/bin/env bash
# A real Kafka 4 broker for tests, without a container: jars from Maven Central, one JVM, data in a folder of yours.
#
#   start-kraft.sh fetch        get the jars into the cache and print their folder
#   start-kraft.sh start DIR    format DIR once, start the broker, wait until it serves
#   start-kraft.sh stop DIR     clean stop, data stays
#   start-kraft.sh kill DIR     SIGKILL, data stays
#   start-kraft.sh status DIR   exit code 0 while it runs
#
# Variables:
#   KAFKA_PORT             19092, on 127.0.0.1
#   KAFKA_CONTROLLER_PORT  KAFKA_PORT + 1
#   KAFKA_NODE_ID          1
#   KAFKA_JOIN             host:port of another node's controller: this one is then a broker of that cluster and has no
#                          controller of its own. The node with the controller must outlive the others.
#   KAFKA_PROPS            more broker properties, one per line; they win over those below. Give every node the same.
#   KAFKA_FORMAT           more arguments of the first start's formatting, e.g. --add-scram SCRAM-SHA-256=[name=n,password=p]
#   KAFKA_VERSION          4.4.0; 4.0.2 and later are known to start
#   KAFKA_HEAP             384m
#   KAFKA_WAIT_S           60
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
libs_root=${XDG_CACHE_HOME:-$HOME/.cache}/tocsin-kafka/libs
version=${KAFKA_VERSION:-4.4.0}
libs=$libs_root/$version
host=127.0.0.1
port=${KAFKA_PORT:-19092}
controller_port=${KAFKA_CONTROLLER_PORT:-$((port + 1))}
cluster_id=VG9jc2luVGVzdENsdXN0ZQ # any 16 bytes in base64url

fail() {
  echo "start-kraft: $*" >&2
  exit 1
}

fetch() {
  mkdir -p "$libs_root"
  exec 9>"$libs_root/.lock"
  flock 9 # several brokers may start at once
  if [[ ! -f $libs/.complete ]]; then
    command -v mvn >/dev/null || fail "the jars of Kafka $version are not in $libs and there is no mvn to fetch them"
    local part=$libs_root/.part-$version
    rm -rf "$part" "$libs"
    mvn -q -B -ntp -f "$here/pom.xml" -Dkafka.version="$version" -Dlibs.dir="$part" dependency:copy-dependencies \
      </dev/null >"$libs_root/mvn-$version.log" 2>&1 || fail "Maven could not fetch Kafka $version: $(grep -m1 ERROR "$libs_root/mvn-$version.log")"
    [[ -f $part/kafka_2.13-$version.jar ]] || fail "Maven fetched no kafka_2.13-$version.jar; see $libs_root/mvn-$version.log"
    touch "$part/.complete"
    mv "$part" "$libs"
  fi
  exec 9>&-
}

# The recorded process runs and is this broker (not another one that got its number later).
runs() {
  local pid
  pid=$(cat "$dir/pid" 2>/dev/null) && [[ -n $pid ]] && tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$dir/server.properties"
}

answers() { (exec 3<>"/dev/tcp/$host/$1") 2>/dev/null; }

write_properties() {
  local roles=broker,controller listeners=PLAINTEXT://$host:$port quorum=$host:$controller_port
  if [[ -n ${KAFKA_JOIN:-} ]]; then
    roles=broker quorum=$KAFKA_JOIN
  else
    listeners+=,CONTROLLER://$host:$controller_port
  fi
  cat >"$dir/server.properties" <<PROPERTIES
process.roles=$roles
node.id=${KAFKA_NODE_ID:-1}
controller.quorum.bootstrap.servers=$quorum
listeners=$listeners
advertised.listeners=$listeners
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/data
auto.create.topics.enable=false
num.partitions=1
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
log.segment.bytes=134217728
log.cleaner.dedupe.buffer.size=16777216
# A broker that was killed may come back after this long; by default after 9 s.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
${KAFKA_PROPS:-}
PROPERTIES
  cat >"$dir/log4j2.xml" <<'LOG4J'
<Configuration status="WARN"><Appenders><Console name="C" target="SYSTEM_OUT"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console></Appenders>
<Loggers><Root level="INFO"><AppenderRef ref="C"/></Root></Loggers></Configuration>
LOG4J
}

start() {
  ! runs || return 0
  command -v java >/dev/null || fail 'no java on the PATH, 17 or newer needed'
  local major
  major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -1)
  ((${major:-0} >= 17)) || fail "java ${major:-of unknown version} is too old, 17 or newer needed"
  ! answers "$port" || fail "port $port is taken; set KAFKA_PORT"
  fetch
  mkdir -p "$dir"
  write_properties
  local jvm=(-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Djava.awt.headless=true "-Dlog4j2.configurationFile=file:$dir/log4j2.xml" -cp "$libs/*")
  if [[ ! -f $dir/data/meta.properties ]]; then
    local more=()
    [[ -z ${KAFKA_FORMAT:-} ]] || read -ra more <<<"$KAFKA_FORMAT"
    [[ -n ${KAFKA_JOIN:-} ]] || more+=(--standalone)
    java -Xmx128m "${jvm[@]}" kafka.tools.StorageTool format ${more[@]+"${more[@]}"} -t "$cluster_id" -c "$dir/server.properties" \
      </dev/null >"$dir/format.log" 2>&1 || fail "formatting failed: $(tail -5 "$dir/format.log")"
  fi
  setsid nohup java -Xms128m -Xmx"${KAFKA_HEAP:-384m}" "${jvm[@]}" kafka.Kafka "$dir/server.properties" </dev/null >"$dir/log" 2>&1 &
  echo $! >"$dir/pid"
  local until=$((SECONDS + ${KAFKA_WAIT_S:-60}))
  while ((SECONDS < until)); do
    runs || kill -0 "$(cat "$dir/pid")" 2>/dev/null || fail "the broker ended at once: $(grep -E -m5 'ERROR|FATAL|Exception' "$dir/log")"
    if grep -q 'Kafka Server started' "$dir/log" && answers "$port"; then return 0; fi
    sleep 0.1
  done
  fail "the broker does not serve after ${KAFKA_WAIT_S:-60} s: $(tail -5 "$dir/log")"
}

stop() {
  runs || return 0
  local pid until=$((SECONDS + 30))
  pid=$(cat "$dir/pid")
  kill "-$1" "$pid"
  while kill -0 "$pid" 2>/dev/null; do
    if ((SECONDS >= until)); then kill -KILL "$pid" 2>/dev/null || true; fi
    sleep 0.1
  done
  rm -f "$dir/pid"
}

command=${1:-}
if [[ $command == fetch ]]; then
  fetch
  echo "$libs"
  exit
fi
dir=${2:-}
[[ -n $dir ]] || fail "usage: $0 fetch | start DIR | stop DIR | kill DIR | status DIR"
dir=$(realpath -m "$dir")
case $command in
  start) start ;;
  stop) stop TERM ;;
  kill) stop KILL ;;
  status) runs ;;
  *) fail "no such command: $command" ;;
esac
