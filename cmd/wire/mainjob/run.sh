#!/bin/bash
# The main job: the Debian package lists go in by kcat while an idempotent Java producer
# writes another topic and the broker is killed; then every acknowledged record must be
# there exactly once, in order per key, byte for byte.
# kcat prints no delivery reports; with message.timeout.ms=0 it ends with 0 only when
# every record has been delivered. MAINJOB_KAFKA=1 has Apache Kafka instead of penstock.
set -euo pipefail
cd "$(dirname "$0")"
cache=${WIRE_CACHE:-$HOME/.cache/penstock-wire}
dir=$(mktemp -d) port=${PORT:-$(python3 -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")} kills=${KILLS:-4}
addr=127.0.0.1:$port
penstock=${PENSTOCK:-../../../bin/penstock}
start() {
	if [ -n "${MAINJOB_KAFKA:-}" ]; then
		setsid ../kafka-peer/start.sh "$dir/broker" "$port" & broker=$!
	else
		"$penstock" serve --data "$dir/broker" --kafka "$addr" --shards 2 --core-ports off --admin 127.0.0.1:0 \
			--set group.initial.rebalance.delay.ms=0 >> "$dir/broker.log" 2>&1 & broker=$!
	fi
	for _ in $(seq 300); do
		kill -0 "$broker" 2> /dev/null || break # a broker of someone else may answer here
		kcat -L -b "$addr" -m 1 > /dev/null 2>&1 && kill -0 "$broker" && return
		sleep 0.1
	done
	echo "broker does not start" >&2; cat "$dir"/broker.log "$dir"/broker/kafka.log >&2 2> /dev/null; exit 1
}
trap 'kill -9 ${broker:-} ${java:-} ${kcat:-} 2> /dev/null || true; rm -rf "$dir"' EXIT
[ -d "$cache/kafka" ] || mvn -q -B -f ../kafka-peer/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$cache/kafka"
ls /var/lib/apt/lists/*Packages* > /dev/null 2>&1 || apt-get update -qq
for f in /var/lib/apt/lists/*Packages*; do /usr/lib/apt/apt-helper cat-file "$f"; echo; done |
	python3 -c '
import sys
for s in sys.stdin.buffer.read().split(b"\n\n"):
    s = s.strip(b"\n")
    if s:
        assert b"\x01" not in s and b"\x02" not in s
        sys.stdout.buffer.write(s.split(b"\n")[0].split(b": ")[1] + b"\x01" + s + b"\x02")
' > "$dir/stanzas"
start
"$cache/py/bin/python" -c '
import sys
from kafka.admin import KafkaAdminClient, NewTopic
KafkaAdminClient(bootstrap_servers=sys.argv[1]).create_topics([NewTopic("stanzas", 16, 1), NewTopic("ledger", 4, 1)])' "$addr"
java -cp "$cache/kafka/*" Ledger.java "$addr" ledger "$dir/ledger" "$dir/stop" 2> "$dir/java.log" & java=$!
began=$(date +%s%N)
# The input is throttled so that the kills fall within it.
python3 -c '
import sys, time
d = open(sys.argv[1], "rb").read()
for i in range(0, len(d), 1 << 20):
    sys.stdout.buffer.write(d[i:i + (1 << 20)]); time.sleep(0.2)' "$dir/stanzas" |
	kcat -P -E -b "$addr" -t stanzas -K '\x01' -D '\x02' -X enable.idempotence=true -X acks=all -X message.timeout.ms=0 2> "$dir/kcat.log" & kcat=$!
for _ in $(seq "$kills"); do
	sleep "$((RANDOM % 2 + 1)).$((RANDOM % 10))"
	kill -9 "$broker"; wait "$broker" 2> /dev/null || true
	start
done
wait "$kcat" || { echo "kcat failed"; head -3 "$dir/kcat.log"; grep -v "Delivery failed" "$dir/kcat.log" | tail -3; exit 1; }
echo "kcat: $(stat -c %s "$dir/stanzas") bytes in $((($(date +%s%N) - began) / 1000000)) ms, $kills kills"
touch "$dir/stop"
wait "$java" || { echo "java failed"; tail "$dir/java.log"; exit 1; }
verdict=0
"$cache/py/bin/python" verify.py "$addr" stanzas "$dir/stanzas" stanzas || verdict=1
"$cache/py/bin/python" verify.py "$addr" ledger "$dir/ledger" ledger || verdict=1
[ $verdict = 0 ] && echo "main job ok" || echo "main job FAILED"
exit $verdict
