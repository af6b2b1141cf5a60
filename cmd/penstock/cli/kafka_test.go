package cli

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

func TestRefusalsSayWhatWhyAndWhatNext(t *testing.T) {
	for _, c := range []struct {
		err     error
		message string
		want    string
	}{
		{kerr.UnknownTopicOrPartition, "", "there is no such topic or partition (UNKNOWN_TOPIC_OR_PARTITION); penstock topic list shows those that exist"},
		{kerr.InvalidConfig, "Unknown topic config name: x.", "Unknown topic config name: x (INVALID_CONFIG); penstock topic describe"},
		{kerr.InvalidTopicException, "not . or ..", "not . or .. (INVALID_TOPIC_EXCEPTION); choose another name"},
		{kerr.BrokerNotAvailable, "", "The broker is not available (BROKER_NOT_AVAILABLE)"},
	} {
		got := Refusal(c.err, c.message)
		if !strings.HasPrefix(got.Error(), c.want) || !errors.Is(got, c.err) || Code(got) != Code(c.err) {
			t.Errorf("%q; want %q", got, c.want)
		}
	}
	if plain := errors.New("x"); Refusal(plain, "") != plain || Refusal(nil, "") != nil || Code(plain) != "" {
		t.Error("what is no code was changed")
	}
}
