#!/bin/sh
# Starts Apache Kafka, one node, in the foreground: start.sh DIR PORT
# The same suite runs against it, which proves the suite. Controller: PORT+1.
# REBALANCE_DELAY_MS (0) is how long a new group waits for members.
# KAFKA_HEAP_OPTS (-Xms512m -Xmx1g) is the memory of the JVM.
# DIR is kept: a second start with the same DIR carries on with its data.
set -eu
dir=$1 port=$2
here=$(cd "$(dirname "$0")" && pwd)
libs=${WIRE_CACHE:-$HOME/.cache/penstock-wire}/kafka
[ -e "$libs/complete" ] || sh "$here/jars.sh"
mkdir -p "$dir"
cat > "$dir/server.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=$dir/data
num.partitions=4
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=${REBALANCE_DELAY_MS:-0}
P
[ -f "$dir/data/meta.properties" ] || java -Xshare:auto -cp "$libs/*" kafka.tools.StorageTool format --standalone \
	-t AAAAAAAAAAAAAAAAAAAAAQ -c "$dir/server.properties" > "$dir/format.log" 2>&1
exec java ${KAFKA_HEAP_OPTS:--Xms512m -Xmx1g} -Djava.awt.headless=true -Dkafka.logs.dir="$dir" -cp "$libs/*" kafka.Kafka "$dir/server.properties" > "$dir/kafka.log" 2>&1
