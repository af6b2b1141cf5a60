package kafka

// never is the first flexible version of an API that has none.
const never = 1<<15 - 1

// Range is one API that is served: versions Min to Max, flexible from Flexible on.
// Advertised is the lowest version that ApiVersions names. It differs from Min only for
// Produce: librdkafka before 2.11 does not compress unless Produce 0 is on the list
// (KAFKA-18659), although nobody sends it.
type Range struct {
	Key, Min, Max, Flexible int16
	Advertised              int16
	Name                    string

	fields   string // the request body, see schema.go
	programs [][]op // one per version, from Min on
}

// Keys of the served APIs.
const (
	Produce                 int16 = 0
	Fetch                   int16 = 1
	ListOffsets             int16 = 2
	Metadata                int16 = 3
	OffsetCommit            int16 = 8
	OffsetFetch             int16 = 9
	FindCoordinator         int16 = 10
	JoinGroup               int16 = 11
	Heartbeat               int16 = 12
	LeaveGroup              int16 = 13
	SyncGroup               int16 = 14
	DescribeGroups          int16 = 15
	ListGroups              int16 = 16
	ApiVersions             int16 = 18
	CreateTopics            int16 = 19
	DeleteTopics            int16 = 20
	DeleteRecords           int16 = 21
	InitProducerID          int16 = 22
	OffsetForLeaderEpoch    int16 = 23
	DescribeConfigs         int16 = 32
	AlterConfigs            int16 = 33
	DescribeLogDirs         int16 = 35
	CreatePartitions        int16 = 37
	DeleteGroups            int16 = 42
	IncrementalAlterConfigs int16 = 44
	OffsetDelete            int16 = 47
	DescribeCluster         int16 = 60
	DescribeTopicPartitions int16 = 75
)

// Versions lists the served APIs by key. The lowest versions are those of Apache Kafka
// 4.1 (KIP-896), the highest those of the newest Kafka that kmsg knows.
var Versions = []Range{
	{Key: Produce, Min: 3, Max: 13, Flexible: 9, Name: "Produce", fields: produceFields},
	{Key: Fetch, Min: 4, Max: 18, Flexible: 12, Name: "Fetch", fields: fetchFields},
	{Key: ListOffsets, Min: 1, Max: 11, Flexible: 6, Name: "ListOffsets", fields: listOffsetsFields},
	{Key: Metadata, Min: 0, Max: 13, Flexible: 9, Name: "Metadata", fields: metadataFields},
	{Key: OffsetCommit, Min: 2, Max: 10, Flexible: 8, Name: "OffsetCommit", fields: offsetCommitFields},
	{Key: OffsetFetch, Min: 1, Max: 10, Flexible: 6, Name: "OffsetFetch", fields: offsetFetchFields},
	{Key: FindCoordinator, Min: 0, Max: 6, Flexible: 3, Name: "FindCoordinator", fields: findCoordinatorFields},
	{Key: JoinGroup, Min: 0, Max: 9, Flexible: 6, Name: "JoinGroup", fields: joinGroupFields},
	{Key: Heartbeat, Min: 0, Max: 4, Flexible: 4, Name: "Heartbeat", fields: heartbeatFields},
	{Key: LeaveGroup, Min: 0, Max: 5, Flexible: 4, Name: "LeaveGroup", fields: leaveGroupFields},
	{Key: SyncGroup, Min: 0, Max: 5, Flexible: 4, Name: "SyncGroup", fields: syncGroupFields},
	{Key: DescribeGroups, Min: 0, Max: 6, Flexible: 5, Name: "DescribeGroups", fields: describeGroupsFields},
	{Key: ListGroups, Min: 0, Max: 5, Flexible: 3, Name: "ListGroups", fields: listGroupsFields},
	{Key: ApiVersions, Min: 0, Max: 5, Flexible: 3, Name: "ApiVersions", fields: apiVersionsFields},
	{Key: CreateTopics, Min: 2, Max: 7, Flexible: 5, Name: "CreateTopics", fields: createTopicsFields},
	{Key: DeleteTopics, Min: 1, Max: 6, Flexible: 4, Name: "DeleteTopics", fields: deleteTopicsFields},
	{Key: DeleteRecords, Min: 0, Max: 2, Flexible: 2, Name: "DeleteRecords", fields: deleteRecordsFields},
	{Key: InitProducerID, Min: 0, Max: 5, Flexible: 2, Name: "InitProducerId", fields: initProducerIDFields},
	{Key: OffsetForLeaderEpoch, Min: 2, Max: 4, Flexible: 4, Name: "OffsetForLeaderEpoch", fields: offsetForLeaderEpochFields},
	{Key: DescribeConfigs, Min: 1, Max: 4, Flexible: 4, Name: "DescribeConfigs", fields: describeConfigsFields},
	{Key: AlterConfigs, Min: 0, Max: 2, Flexible: 2, Name: "AlterConfigs", fields: alterConfigsFields},
	{Key: DescribeLogDirs, Min: 1, Max: 5, Flexible: 2, Name: "DescribeLogDirs", fields: describeLogDirsFields},
	{Key: CreatePartitions, Min: 0, Max: 3, Flexible: 2, Name: "CreatePartitions", fields: createPartitionsFields},
	{Key: DeleteGroups, Min: 0, Max: 3, Flexible: 2, Name: "DeleteGroups", fields: deleteGroupsFields},
	{Key: IncrementalAlterConfigs, Min: 0, Max: 1, Flexible: 1, Name: "IncrementalAlterConfigs", fields: incrementalAlterConfigsFields},
	{Key: OffsetDelete, Min: 0, Max: 0, Flexible: never, Name: "OffsetDelete", fields: offsetDeleteFields},
	{Key: DescribeCluster, Min: 0, Max: 2, Flexible: 0, Name: "DescribeCluster", fields: describeClusterFields},
	{Key: DescribeTopicPartitions, Min: 0, Max: 0, Flexible: 0, Name: "DescribeTopicPartitions", fields: describeTopicPartitionsFields},
}

// byKey finds the place in Versions, plus one; 0 means not served.
var byKey = buildVersions()

func buildVersions() (index [128]uint8) {
	for i := range Versions {
		r := &Versions[i]
		r.Advertised = r.Min
		if r.Key == Produce {
			r.Advertised = 0
		}
		for v := r.Min; v <= r.Max; v++ {
			r.programs = append(r.programs, compile(r.fields, v, v >= r.Flexible))
		}
		index[r.Key] = uint8(i + 1)
	}
	return index
}

// Lookup returns the API of a key, or nil if it is not served.
func Lookup(key int16) *Range {
	if key < 0 || int(key) >= len(byKey) || byKey[key] == 0 {
		return nil
	}
	return &Versions[byKey[key]-1]
}

// Serves says whether this version of the API is served. Being advertised is not enough.
func (r *Range) Serves(version int16) bool { return version >= r.Min && version <= r.Max }
