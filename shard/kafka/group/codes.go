package group

import "github.com/penstock/penstock/core"

// Kafka's error codes that the group APIs answer with.
const (
	errNone                    int16 = 0
	errUnknownServer           int16 = -1
	errUnknownTopicOrPartition int16 = 3
	errOffsetMetadataTooLarge  int16 = 12
	errCoordinatorLoading      int16 = 14
	errCoordinatorNotAvailable int16 = 15
	errNotCoordinator          int16 = 16
	errIllegalGeneration       int16 = 22
	errInconsistentProtocol    int16 = 23
	errInvalidGroupID          int16 = 24
	errUnknownMember           int16 = 25
	errInvalidSessionTimeout   int16 = 26
	errRebalanceInProgress     int16 = 27
	errInvalidCommitSize       int16 = 28
	errInvalidRequest          int16 = 42
	errNonEmptyGroup           int16 = 68
	errGroupNotFound           int16 = 69
	errMemberIDRequired        int16 = 79
	errGroupMaxSize            int16 = 81
	errFencedInstance          int16 = 82
	errGroupSubscribed         int16 = 86
	errUnknownTopicID          int16 = 100
)

// appendFailed maps why an append was not done to what the asker is told. As in Kafka
// the two answers that make a client look for the coordinator again come first; one
// that cannot succeed by repetition is tooLarge, which differs between the APIs.
func appendFailed(outcome core.Outcome, code core.Code, tooLarge int16) int16 {
	switch {
	case outcome == core.Done:
		return errNone
	case outcome == core.Unknown || outcome == core.Cancelled:
		return errCoordinatorNotAvailable
	}
	switch code {
	case core.ErrTooLarge:
		return tooLarge
	case core.ErrCoordinatorLoading:
		return errCoordinatorLoading
	case core.ErrNotLeader, core.ErrNotCoordinator, core.ErrStorage, core.ErrQuarantined:
		return errNotCoordinator
	}
	return errCoordinatorNotAvailable
}
