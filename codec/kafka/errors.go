package kafka

import "github.com/penstock/penstock/core"

// Errors of the protocol, as far as we answer them.
const (
	UnknownServerError           int16 = -1
	NoError                      int16 = 0
	OffsetOutOfRange             int16 = 1
	CorruptMessage               int16 = 2
	UnknownTopicOrPartition      int16 = 3
	LeaderNotAvailable           int16 = 5
	NotLeaderOrFollower          int16 = 6
	RequestTimedOut              int16 = 7
	MessageTooLarge              int16 = 10
	OffsetMetadataTooLarge       int16 = 12
	CoordinatorLoadInProgress    int16 = 14
	CoordinatorNotAvailable      int16 = 15
	NotCoordinator               int16 = 16
	InvalidTopicException        int16 = 17
	InvalidRequiredAcks          int16 = 21
	IllegalGeneration            int16 = 22
	InconsistentGroupProtocol    int16 = 23
	InvalidGroupID               int16 = 24
	UnknownMemberID              int16 = 25
	InvalidSessionTimeout        int16 = 26
	RebalanceInProgress          int16 = 27
	TopicAuthorizationFailed     int16 = 29
	InvalidTimestamp             int16 = 32
	UnsupportedSaslMechanism     int16 = 33
	UnsupportedVersion           int16 = 35
	TopicAlreadyExists           int16 = 36
	InvalidPartitions            int16 = 37
	InvalidReplicationFactor     int16 = 38
	InvalidReplicaAssignment     int16 = 39
	InvalidConfig                int16 = 40
	NotController                int16 = 41
	InvalidRequest               int16 = 42
	UnsupportedForMessageFormat  int16 = 43
	PolicyViolation              int16 = 44
	OutOfOrderSequenceNumber     int16 = 45
	DuplicateSequenceNumber      int16 = 46
	InvalidProducerEpoch         int16 = 47
	InvalidTransactionTimeout    int16 = 50
	TransactionalIDNotAuthorized int16 = 53
	KafkaStorageError            int16 = 56
	UnknownProducerID            int16 = 59
	NonEmptyGroup                int16 = 68
	GroupIDNotFound              int16 = 69
	FetchSessionIDNotFound       int16 = 70
	InvalidFetchSessionEpoch     int16 = 71
	FencedLeaderEpoch            int16 = 74
	UnknownLeaderEpoch           int16 = 75
	UnsupportedCompressionType   int16 = 76
	MemberIDRequired             int16 = 79
	GroupMaxSizeReached          int16 = 81
	FencedInstanceID             int16 = 82
	GroupSubscribedToTopic       int16 = 86
	InvalidRecord                int16 = 87
	UnstableOffsetCommit         int16 = 88
	ThrottlingQuotaExceeded      int16 = 89
	ProducerFenced               int16 = 90
	ResourceNotFound             int16 = 91
	UnknownTopicID               int16 = 100
	InconsistentTopicID          int16 = 103
	FetchSessionTopicIDError     int16 = 106
	MismatchedEndpointType       int16 = 114
	UnsupportedEndpointType      int16 = 115
	RebootstrapRequired          int16 = 129
)

// Errno is the one table that says how a core.Code is told to a Kafka client. Codes that
// are not in it are UNKNOWN_SERVER_ERROR, and a test says that there are none.
//
// What passes (too much in flight) is a timeout, which clients try again; a broker that
// stops is no longer the leader; a failed or full disk is a storage error: upon both,
// clients back off and ask for metadata again.
func Errno(c core.Code) int16 {
	if int(c) < len(errno) {
		return errno[c]
	}
	return UnknownServerError
}

var errno = [...]int16{
	core.OK:                        NoError,
	core.ErrUnknownTopic:           UnknownTopicOrPartition,
	core.ErrUnknownTopicID:         UnknownTopicID,
	core.ErrUnknownPartition:       UnknownTopicOrPartition,
	core.ErrTopicExists:            TopicAlreadyExists,
	core.ErrInvalidTopic:           InvalidTopicException,
	core.ErrInvalidPartitions:      InvalidPartitions,
	core.ErrInvalidReplication:     InvalidReplicationFactor,
	core.ErrInvalidConfig:          InvalidConfig,
	core.ErrInvalidRequest:         InvalidRequest,
	core.ErrPolicy:                 PolicyViolation,
	core.ErrTooLarge:               MessageTooLarge,
	core.ErrCorruptBatch:           CorruptMessage,
	core.ErrInvalidRecord:          InvalidRecord,
	core.ErrInvalidTimestamp:       InvalidTimestamp,
	core.ErrUnsupportedCompression: UnsupportedCompressionType,
	core.ErrOffsetRange:            OffsetOutOfRange,
	core.ErrFencedLeaderEpoch:      FencedLeaderEpoch,
	core.ErrUnknownLeaderEpoch:     UnknownLeaderEpoch,
	core.ErrNotLeader:              NotLeaderOrFollower,
	core.ErrSequence:               OutOfOrderSequenceNumber,
	core.ErrProducerEpoch:          InvalidProducerEpoch,
	core.ErrUnknownProducer:        UnknownProducerID,
	core.ErrStorage:                KafkaStorageError,
	core.ErrQuarantined:            KafkaStorageError,
	core.ErrDiskFull:               KafkaStorageError,
	core.ErrBusy:                   RequestTimedOut,
	core.ErrStopping:               NotLeaderOrFollower,
	core.ErrTimeout:                RequestTimedOut,
	core.ErrUnsupported:            UnsupportedVersion,
	core.ErrNotCoordinator:         NotCoordinator,
	core.ErrCoordinatorLoading:     CoordinatorLoadInProgress,
}
