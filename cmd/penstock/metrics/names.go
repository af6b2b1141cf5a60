package metrics

import "github.com/prometheus/client_golang/prometheus"

var descriptions []*prometheus.Desc

func own(name, help string, labels ...string) *prometheus.Desc {
	return describe("penstock_"+name, help, labels...)
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc(name, help, labels, nil)
	descriptions = append(descriptions, d)
	return d
}

const shardLabel = "shard"

// Of the broker.
var (
	buildInfo          = own("build_info", "Always 1; the labels say what runs.", "version", "commit", "goversion")
	ready              = own("ready", "1 while clients are served.")
	connectionsMax     = own("connections_limit", "Connections that are let in.")
	connectionsRefused = own("connections_refused_total", "Connections closed at once, because there were too many or no descriptor was left.")
	diskSize           = own("disk_size_bytes", "Size of the file system of the data.")
	diskUsable         = own("disk_usable_bytes", "What of the file system of the data can still be used.")
	topicSize          = own("topic_size_bytes", "Bytes of a topic's partitions, tails in memory included.", "topic")
	topicAppended      = own("topic_appended_bytes_total", "Bytes appended to a topic's partitions since the start.", "topic")
)

// Of each shard, with its loop.
var (
	loopBusy        = own("loop_busy_seconds_total", "Time in which the loop was not waiting: from the first event of a turn until its output is with the kernel. Gaps of at most 20 microseconds between turns count.", shardLabel)
	loopTurns       = own("loop_turns_total", "Turns of the loop.", shardLabel)
	requests        = own("requests_total", "Requests of clients of this shard that have ended.", shardLabel, "kind")
	requestDuration = own("request_duration_seconds", "From the turn that read a request to the end of the turn that answers it; of a fetch, without the wait for data.", shardLabel, "kind")
	syncDuration    = own("journal_sync_duration_seconds", "Group commits: writing and syncing the journal.", shardLabel)
	commits         = own("journal_commits_total", "Group commits that succeeded.", shardLabel)
	checkpoints     = own("checkpoints_total", "Checkpoints written.", shardLabel)
	received        = own("network_received_bytes_total", "Bytes read from connections.", shardLabel)
	sent            = own("network_sent_bytes_total", "Bytes handed to the kernel for connections.", shardLabel)
	appendedBytes   = own("appended_bytes_total", "Bytes appended to partitions of this shard.", shardLabel)
	appendedBatches = own("appended_batches_total", "Batches appended to partitions of this shard.", shardLabel)
	repeatedBatches = own("repeated_batches_total", "Batches that an idempotent producer sent again.", shardLabel)
	reads           = own("reads_total", "Reads of partitions of this shard that were answered with bytes.", shardLabel)
	readBytes       = own("read_bytes_total", "Bytes of these.", shardLabel)
	refused         = own("refused_total", "Appends, reads and questions that were refused.", shardLabel)
	crossed         = own("crossed_requests_total", "Requests sent on to the shard that owns the partition.", shardLabel)
	pendingAppends  = own("pending_appends", "Appends that wait to become durable.", shardLabel)
	pendingBytes    = own("pending_bytes", "Bytes that wait for a group commit.", shardLabel)
	inFlight        = own("requests_in_flight", "Appends, reads, waits and questions under way, wherever they are.", shardLabel)
	queued          = own("output_queued_bytes", "Output that waits for clients to take it.", shardLabel)
	arenaChunks     = own("arena_chunks", "Chunks of the arena, which holds the tails of partitions.", shardLabel)
	arenaFree       = own("arena_free_chunks", "Chunks of the arena that are free.", shardLabel)
	connections     = own("connections", "Open connections.", shardLabel)
	accepted        = own("connections_accepted_total", "Connections opened.", shardLabel)
	closed          = own("connections_closed_total", "Connections closed.", shardLabel)
	paused          = own("connections_paused_total", "Times that reading of a connection was stopped.", shardLabel)
	stalled         = own("connections_stalled_total", "Connections closed because the client took nothing.", shardLabel)
	partitions      = own("partitions", "Partitions that the shard owns.", shardLabel)
	quarantined     = own("partitions_quarantined", "Of these, those that are not served because their files are damaged.", shardLabel)
	storageFailed   = own("storage_failed", "1 if the shard acknowledges nothing any more.", shardLabel)
)

// kafka_exporter's names and labels. There is one broker and one replica of everything,
// so some are constant; dashboards and alerts ask for them all the same.
var (
	kafkaBrokers         = describe("kafka_brokers", "Brokers of the normal port: one.")
	kafkaPartitions      = describe("kafka_topic_partitions", "Partitions of the topic.", "topic")
	kafkaCurrent         = describe("kafka_topic_partition_current_offset", "High watermark of the partition.", "topic", "partition")
	kafkaOldest          = describe("kafka_topic_partition_oldest_offset", "Log start of the partition.", "topic", "partition")
	kafkaLeader          = describe("kafka_topic_partition_leader", "Broker id of the leader.", "topic", "partition")
	kafkaReplicas        = describe("kafka_topic_partition_replicas", "Replicas of the partition: one.", "topic", "partition")
	kafkaInSync          = describe("kafka_topic_partition_in_sync_replica", "Replicas in sync: one, or none of a partition that is not served.", "topic", "partition")
	kafkaPreferred       = describe("kafka_topic_partition_leader_is_preferred", "Always 1.", "topic", "partition")
	kafkaUnderReplicated = describe("kafka_topic_partition_under_replicated_partition", "1 if the partition is not served.", "topic", "partition")
	kafkaGroupOffset     = describe("kafka_consumergroup_current_offset", "Offset that the group has committed.", "consumergroup", "topic", "partition")
	kafkaGroupOffsetSum  = describe("kafka_consumergroup_current_offset_sum", "Sum of these for the topic.", "consumergroup", "topic")
	kafkaGroupLag        = describe("kafka_consumergroup_lag", "High watermark minus the offset committed.", "consumergroup", "topic", "partition")
	kafkaGroupLagSum     = describe("kafka_consumergroup_lag_sum", "Sum of these for the topic.", "consumergroup", "topic")
	kafkaGroupMembers    = describe("kafka_consumergroup_members", "Members of the group.", "consumergroup")
)
