package core

// CommandKind names a change of the catalog.
type CommandKind uint8

// The commands. Each is applied whole or refused, in one order, with a revision.
const (
	CreateTopic CommandKind = iota + 1
	DeleteTopic
	CreatePartitions
	AlterTopic
	AllocateProducerID
)

// Command asks the single writer of the catalog for a change. Plain data: it could
// cross a wire. Only the fields that its kind names are read.
type Command struct {
	Kind       CommandKind
	Topic      string              // CreateTopic, CreatePartitions, AlterTopic; DeleteTopic by name if ID is zero
	ID         TopicID             // DeleteTopic
	Internal   bool                // CreateTopic
	Partitions int32               // CreateTopic: -1 means the default. CreatePartitions: the new total
	Set        map[string]*string  // CreateTopic, AlterTopic: key to value; nil removes the key
	Edit       map[string]ListEdit // AlterTopic: keys whose value is a list, as it is when the command is decided
	Replace    bool                // AlterTopic: Set becomes the whole configuration (AlterConfigs)
	DryRun     bool                // validate only
}

// ListEdit adds elements to a list, or takes them away. Elements are separated by commas;
// those that are there, or are not, change nothing.
type ListEdit struct {
	Elements string
	Remove   bool
}

// CommandResult answers a Command. Text is for people and empty if Code is OK.
type CommandResult struct {
	Code       Code
	Text       string
	Topic      *Topic // CreateTopic, CreatePartitions, AlterTopic: as it is (or, for a dry run, would be) now
	ProducerID int64  // AllocateProducerID
}
