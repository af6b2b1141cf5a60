#!/bin/bash
# The main job: the Debian package lists go in by kcat while an idempotent Java producer
# writes another topic and the broker is killed; then groups of Java, Python and Node read
# both topics, and every acknowledged record must be there exactly once, in order per key,
# byte for byte.
#
# kcat prints no delivery reports. With message.timeout.ms=0 it tries for ever, and it ends
# with 0 only when every record has been reported delivered: so its exit status stands for
# the reports. Java keeps a ledger of the records whose delivery was reported.
#
# SEED=n replays the moments of the kills, KILLS=n has more of them.
# MAINJOB_KAFKA=1 has Apache Kafka instead of penstock.
set -euo pipefail
cd "$(dirname "$0")"
cache=${WIRE_CACHE:-$HOME/.cache/penstock-wire}
python=$cache/py/bin/python
seed=${SEED:-} kills=${KILLS:-5}
[ -n "$seed" ] || seed=$((RANDOM * 32768 + RANDOM))
# Not of the range from which the kernel takes ports for clients: while the broker is down,
# a client that tries to connect could be given this one, and be connected to itself.
port=${PORT:-$(python3 -c '
import random, socket
while True:
    port = random.randrange(10000, 30000)
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
            print(port)
            break
        except OSError:
            pass')}
addr=127.0.0.1:$port
penstock=${PENSTOCK:-../../../bin/penstock}
dir=$(mktemp -d)
trap 'kill -9 ${broker:-} ${java:-} ${kcat:-} 2> /dev/null || true; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

start() {
	if [ -n "${MAINJOB_KAFKA:-}" ]; then
		REBALANCE_DELAY_MS=3000 setsid ../kafka-peer/start.sh "$dir/broker" "$port" & broker=$!
	else
		"$penstock" serve --data "$dir/broker" --kafka "$addr" --shards 2 --core-ports off --admin 127.0.0.1:0 >> "$dir/broker.log" 2>&1 & broker=$!
	fi
	for _ in $(seq 1200); do
		kill -0 "$broker" 2> /dev/null || break # a broker of someone else may answer here
		kcat -L -b "$addr" -m 1 > /dev/null 2>&1 && kill -0 "$broker" && return
		sleep 0.1
	done
	echo "the broker does not start" >&2
	cat "$dir/broker.log" "$dir/broker/kafka.log" >&2 2> /dev/null || true
	exit 1
}

# One record per stanza: name \x01 stanza \x02.
ls /var/lib/apt/lists/*Packages* > /dev/null 2>&1 || apt-get update -qq
for f in /var/lib/apt/lists/*Packages*; do
	/usr/lib/apt/apt-helper cat-file "$f"
	echo
done | python3 -c '
import sys
for s in sys.stdin.buffer.read().split(b"\n\n"):
    s = s.strip(b"\n")
    if s:
        assert b"\x01" not in s and b"\x02" not in s and s.startswith(b"Package: ")
        sys.stdout.buffer.write(s.split(b"\n")[0].split(b": ")[1] + b"\x01" + s + b"\x02")
' > "$dir/stanzas"
size=$(stat -c %s "$dir/stanzas") records=$(tr -cd '\002' < "$dir/stanzas" | wc -c)
[ "$size" -gt 20000000 ] || { echo "the package lists are only $size bytes"; exit 1; }
javac -nowarn -d "$dir" -cp "$cache/java-4.3.1/*" Ledger.java Reader.java

RANDOM=$seed
waits=()
for _ in $(seq "$kills"); do waits+=("$((RANDOM % 3)).$((RANDOM % 900 + 100))"); done
echo "main job: $records stanzas, $size bytes; SEED=$seed: kills after ${waits[*]} s"

start
"$python" -c '
import sys
from kafka.admin import KafkaAdminClient, NewTopic
KafkaAdminClient(bootstrap_servers=sys.argv[1]).create_topics([NewTopic("stanzas", 16, 1), NewTopic("ledger", 4, 1)])' "$addr"
jvm="java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx512m -cp $dir:$cache/java-4.3.1/*"
$jvm Ledger "$addr" ledger "$dir/ledger" "$dir/stop" "$seed" > "$dir/java.out" 2> "$dir/java.log" & java=$!
began=$(date +%s%N)
# The input is throttled to 5 MiB/s, and its end waits for the last kill, so that the kills
# fall within it.
python3 -c '
import os, sys, time
d = open(sys.argv[1], "rb").read()
end = len(d) - (1 << 20)
for i in range(0, end, 1 << 20):
    sys.stdout.buffer.write(d[i:min(i + (1 << 20), end)]); time.sleep(0.2)
while not os.path.exists(sys.argv[2]):
    time.sleep(0.05)
sys.stdout.buffer.write(d[end:])' "$dir/stanzas" "$dir/killed" |
	kcat -P -E -b "$addr" -t stanzas -K '\x01' -D '\x02' -X enable.idempotence=true -X acks=all -X message.timeout.ms=0 2> "$dir/kcat.log" & kcat=$!
for wait in "${waits[@]}"; do
	sleep "$wait"
	kill -0 "$kcat" && kill -0 "$java" || { echo "a producer ended before the kills"; tail -3 "$dir/kcat.log" "$dir/java.log"; exit 1; }
	kill -9 "$broker"
	wait "$broker" 2> /dev/null || true
	start
done
touch "$dir/killed"
wait "$kcat" || { echo "kcat failed"; head -3 "$dir/kcat.log"; grep -v "Delivery failed" "$dir/kcat.log" | tail -3; exit 1; }
awk -v n="$records" -v b="$size" -v ns="$(($(date +%s%N) - began))" 'BEGIN { s = ns / 1e9
	printf "kcat: %d records delivered, %.1f MB in %.1f s (%.1f MB/s, %d records/s; the input is throttled)\n", n, b / 1e6, s, b / 1e6 / s, n / s }'
touch "$dir/stop"
wait "$java" || { echo "java failed"; tail "$dir/java.log"; exit 1; }
cat "$dir/java.out"

verdict=ok
for topic in stanzas ledger; do
	"$python" verify.py "$addr" $topic "$dir/$topic" $topic Java $jvm Reader || verdict=FAILED
	"$python" verify.py "$addr" $topic "$dir/$topic" $topic Python "$python" reader.py || verdict=FAILED
	"$python" verify.py "$addr" $topic "$dir/$topic" $topic Node node reader.js || verdict=FAILED
done
kill "$broker"
wait "$broker" || [ -n "${MAINJOB_KAFKA:-}" ] || { echo "the broker did not stop cleanly"; verdict=FAILED; }
echo "main job $verdict (SEED=$seed, $kills kills)"
[ $verdict = ok ]
