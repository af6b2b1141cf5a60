package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// refusals are the codes of the protocol that people meet, with what they mean and what to
// do next.
var refusals = map[int16]struct{ why, next string }{
	kerr.UnknownTopicOrPartition.Code:   {"there is no such topic or partition", "penstock topic list shows those that exist"},
	kerr.UnknownTopicID.Code:            {"the topic has been deleted", "penstock topic list shows those that exist"},
	kerr.TopicAlreadyExists.Code:        {"the topic exists already", "penstock topic describe shows it; --if-not-exists makes this no error"},
	kerr.InvalidTopicException.Code:     {"the name is not valid: it has 1 to 249 of the characters a-z, A-Z, 0-9, . _ -", "choose another name"},
	kerr.InvalidPartitions.Code:         {"the number of partitions is not possible: it can only grow", "penstock topic describe shows what it is"},
	kerr.InvalidReplicationFactor.Code:  {"the number of replicas is not possible", "it is at most the number of brokers; leave --replicas out for the broker's default"},
	kerr.InvalidConfig.Code:             {"a setting is not valid", "penstock topic describe -o wide lists the settings with their values"},
	kerr.OffsetOutOfRange.Code:          {"the partition has no such offset", "penstock topic describe shows the range"},
	kerr.NonEmptyGroup.Code:             {"the group has members", "stop them first; penstock group describe shows who they are"},
	kerr.GroupIDNotFound.Code:           {"there is no such group", "penstock group list shows those that exist"},
	kerr.UnknownMemberID.Code:           {"the group has members", "stop them first; penstock group describe shows who they are"},
	kerr.NotController.Code:             {"the broker is not the controller", "try again: a controller is being elected"},
	kerr.CoordinatorNotAvailable.Code:   {"the group's coordinator is not available", "try again in a moment"},
	kerr.CoordinatorLoadInProgress.Code: {"the group's coordinator is still loading", "try again in a moment"},
	kerr.LeaderNotAvailable.Code:        {"the partition has no leader", "try again in a moment; penstock topic describe shows the leaders"},
	kerr.TopicAuthorizationFailed.Code:  {"this user may not do that to the topic", "grant it with the broker's ACLs"},
	kerr.GroupAuthorizationFailed.Code:  {"this user may not do that to the group", "grant it with the broker's ACLs"},
	kerr.TopicDeletionDisabled.Code:     {"the broker does not delete topics", "set delete.topic.enable=true there"},
	kerr.UnsupportedVersion.Code:        {"the broker does not serve this request", "it may be too old; penstock doctor lists what it serves"},
	kerr.RequestTimedOut.Code:           {"the broker has not done it in time", "it may still happen; look again, or give --timeout more"},
	kerr.KafkaStorageError.Code:         {"the partition's data cannot be read or written", "the broker's log says which file it is"},
}

// Refusal is err in words where it is a code of the protocol. message is what the broker
// said beside the code, which is better than our own words.
func Refusal(err error, message string) error {
	var k *kerr.Error
	if !errors.As(err, &k) {
		return err
	}
	r, known := refusals[k.Code]
	why, next := strings.TrimSpace(message), ""
	if !strings.HasSuffix(why, "..") { // which is a word of its own, of names that are not valid
		why = strings.TrimSuffix(why, ".")
	}
	if why == "" || why == k.Message {
		if why = r.why; !known {
			why = strings.TrimSuffix(k.Description, ".")
		}
	}
	if known {
		next = "; " + r.next
	}
	return &refusal{fmt.Sprintf("%s (%s)%s", why, k.Message, next), err}
}

// refusal keeps the code that it puts into words.
type refusal struct {
	text string
	err  error
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.err }

// Code is the name that the protocol has for an error, "" for none.
func Code(err error) string {
	var k *kerr.Error
	if errors.As(err, &k) {
		return k.Message
	}
	return ""
}
