package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// DefaultBroker is where a broker listens that was started without configuration.
const DefaultBroker = "127.0.0.1:9092"

// BrokersVariable is the variable of the environment that --brokers begins with.
const BrokersVariable = "PENSTOCK_BROKERS"

// Conn is how a verb reaches a broker. It speaks the Kafka protocol and nothing else, so
// that any Kafka broker will do.
type Conn struct {
	Brokers []string
	Timeout time.Duration // of a whole verb that does not follow a topic
	// Name is the client id of a verb that makes connections of its own too; else it can
	// be set.
	Name    string
	options []string
	file    string
}

// Flags adds the flags of a connection.
func (c *Conn) Flags(cmd *cobra.Command) {
	def := DefaultBroker
	if v := os.Getenv(BrokersVariable); v != "" {
		def = v
	}
	f := cmd.Flags()
	f.StringSliceVarP(&c.Brokers, "brokers", "b", strings.Split(def, ","), "brokers to begin with, `host:port,...` ("+BrokersVariable+")")
	f.Lookup("brokers").DefValue = def // without the brackets of a list
	f.DurationVar(&c.Timeout, "timeout", 10*time.Second, "give up after so long")
	f.StringArrayVarP(&c.options, "option", "X", nil, "a client property as kcat and Java name it, `key=value` (repeatable)")
	f.StringVar(&c.file, "client-config", "", "`file` of client properties")
	SetSection(cmd, SectionConnection, "brokers", "timeout", "option", "client-config")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		switch name { // the words of Kafka's tools
		case "bootstrap-server", "bootstrap-servers":
			name = "brokers"
		case "command-config":
			name = "client-config"
		}
		return pflag.NormalizedName(name)
	})
	_ = cmd.RegisterFlagCompletionFunc("brokers", CompleteNothing) // the flags are there
	_ = cmd.RegisterFlagCompletionFunc("option", CompleteWords(propertyNames...))
}

// Context ends with the timeout.
func (c *Conn) Context(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return context.WithTimeout(cmd.Context(), c.Timeout)
}

// Client makes a client. Nothing is dialled yet.
func (c *Conn) Client(opts ...kgo.Opt) (*kgo.Client, error) {
	props, err := c.properties()
	if err != nil {
		return nil, err
	}
	id := "penstock"
	if c.Name != "" {
		if _, set := props["client.id"]; set {
			return nil, Fail(ExitConfig, "client.id cannot be set here: not all connections of this verb would have it; they call themselves %s", c.Name)
		}
		id = c.Name
	}
	base := []kgo.Opt{kgo.SeedBrokers(c.seeds()...), kgo.ClientID(id), kgo.RetryTimeout(c.Timeout),
		kgo.DialTimeout(min(c.Timeout, 5*time.Second)),
		// A broker that is silent is given up with the verb, not after kgo's own 10 s.
		kgo.RequestTimeoutOverhead(min(max(c.Timeout, time.Second), time.Minute)),
		kgo.WithLogger(nil)}
	more, err := propertyOptions(props)
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(append(base, more...), opts...)...)
	if err != nil {
		return nil, Usage("%w", err)
	}
	return cl, nil
}

// Admin makes a client for administration.
func (c *Conn) Admin(opts ...kgo.Opt) (*kadm.Client, error) {
	cl, err := c.Client(opts...)
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(cl), nil
}

// Unreachable puts the address into an error that came before any answer, and says what
// to try.
func (c *Conn) Unreachable(err error) error {
	if err == nil || ExitCode(err) != ExitUnreachable {
		return err
	}
	at := strings.Join(c.seeds(), ", ")
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" && op.Addr != nil && op.Addr.String() == at {
		err = op.Err // the address is said already
	}
	return Fail(ExitUnreachable, "no broker answers at %s: %w; start one with penstock serve, or name another with --brokers (penstock doctor %s looks closer)", at, err, c.seeds()[0])
}

// Seeds are the brokers to begin with, those of the client properties among them.
func (c *Conn) Seeds() ([]string, error) {
	props, err := c.properties()
	if err == nil {
		_, err = propertyOptions(props)
	}
	return c.seeds(), err
}

func (c *Conn) seeds() []string {
	out := make([]string, len(c.Brokers))
	for i, b := range c.Brokers {
		out[i] = WithPort(b)
	}
	return out
}

// WithPort adds the usual port to an address that has none.
func WithPort(addr string) string {
	addr = strings.TrimSpace(addr)
	if !strings.Contains(addr, ":") || strings.HasPrefix(addr, "[") && strings.HasSuffix(addr, "]") {
		addr += ":9092"
	}
	return addr
}

// properties are those of the file, and over them those of -X.
func (c *Conn) properties() (map[string]string, error) {
	props := map[string]string{}
	if c.file != "" {
		b, err := os.ReadFile(c.file)
		if err != nil {
			return nil, fmt.Errorf("read the client properties: %w", err)
		}
		for i, line := range strings.Split(string(b), "\n") {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' || line[0] == '!' {
				continue
			}
			k, v, ok := strings.Cut(line, "=")
			if !ok {
				return nil, Fail(ExitConfig, "%s:%d: %q is not key=value", c.file, i+1, line)
			}
			props[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	for _, o := range c.options {
		k, v, ok := strings.Cut(o, "=")
		if !ok {
			return nil, Usage("-X %q is not key=value", o)
		}
		props[strings.TrimSpace(k)] = strings.TrimSpace(v)
	}
	if b := props["bootstrap.servers"] + props["metadata.broker.list"]; b != "" {
		c.Brokers = strings.Split(b, ",")
	}
	return props, nil
}

// propertyNames are the client properties that are honoured; any other is refused, so
// that nothing is read and ignored.
var propertyNames = []string{"bootstrap.servers", "metadata.broker.list", "client.id", "security.protocol"}

func propertyOptions(props map[string]string) (opts []kgo.Opt, err error) {
	for k, v := range props {
		switch k {
		case "bootstrap.servers", "metadata.broker.list": // seen to above
		case "client.id":
			opts = append(opts, kgo.ClientID(v))
		case "security.protocol":
			if !strings.EqualFold(v, "plaintext") {
				return nil, Fail(ExitConfig, "security.protocol=%s is not supported: this version connects in plaintext only", v)
			}
		default:
			return nil, Fail(ExitConfig, "the client property %q is not supported%s", k, Hint(k, propertyNames, "supported are "+strings.Join(propertyNames, ", ")))
		}
	}
	return opts, nil
}
