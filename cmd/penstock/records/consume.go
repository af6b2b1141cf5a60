package records

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// consumer is the verb consume, with its flags.
type consumer struct {
	conn cli.Conn
	out  cli.Output

	topics    []string
	offsets   []string
	parts     string
	count     int64
	exit      bool
	group     string
	format    string
	delim     string
	keyDelim  string
	null      bool
	regex     bool
	committed bool

	span    span
	numbers []int32
	write   part
}

func consumeCommand() *cobra.Command {
	c := &consumer{}
	cmd := &cobra.Command{
		Use:   "consume TOPIC...",
		Short: "Read records: from any offset or time, in any format, alone or in a group",
		Long: `Consume prints records, from the oldest on, and then waits for more until Ctrl-C. With -e it
ends where the partitions end now, and with a range where that ends, which may mean to wait for
records; with both, at what comes first. Each record is its value and a line end, as with kcat;
on a terminal, one line with partition, offset, key and value, in which what is no text is
escaped (--output wide adds time and headers, also in a pipe).

-o takes an offset or a range FROM:TO, TO left out, for each partition:
  start, end, N     the oldest record kept; what comes from now on; offset N
  -N, +N            the last N records of each partition; N after the oldest one
  @TIME             from the first record on that is not older: @-1h, @2026-01-01, @1764075600
  A:B               from A up to B: 10:20, 10:+5, -10:end, :end, @-1h:end, @2026-01-01:@2026-01-02
  @TIME:1h          one hour of time, as with rpk; TO after a time needs no @
  s@MS, e@MS        as with kcat, also in two -o; beginning is start
Times become offsets once, by ListOffsets, and -N counts offsets: where a topic is compacted
there may be fewer records. "end" is the end when consume starts, so -e comes to an end while
others write. As no offset is spelled so, -o also takes json, jsonl, yaml, text and wide.

With -g, members of a group share the partitions. What was printed is committed, once a
second and at the end, also after Ctrl-C; -o says where partitions begin that the group has
not committed. A TOPIC that begins with ^ is a regular expression, as with kcat.

Exit codes: 0 at the end of the range or when the reader of a pipe has seen enough; 130 after
Ctrl-C; 69 when no broker answers.`,
		Example: `  penstock consume demo -o -10 -e
  penstock consume demo -o @-1h:end -f '%t[%p] at %o: key %k: %s\n'
  penstock consume orders -g billing -o json | jq .value`,
		Args: cli.Args(1, -1),
	}
	f := cmd.Flags()
	f.StringArrayVarP(&c.offsets, "offset", "o", nil, "where to begin and to end, `offset` or range (default start); or the form of the output")
	f.StringVar(&c.out.Format, "output", "text", "`form` of the records: text, wide, json or jsonl (one object per line), yaml")
	f.StringVarP(&c.parts, "partitions", "p", "", "only these `partitions`, as in 0,2,5-7")
	f.Int64VarP(&c.count, "num", "n", 0, "end after so many records")
	f.Int64VarP(&c.count, "count", "c", 0, "the same, as kcat has it")
	f.BoolVarP(&c.exit, "exit", "e", false, "end where the partitions end now")
	f.StringVarP(&c.group, "group", "g", "", "read as a member of this `group`")
	f.StringVarP(&c.format, "format", "f", "", "how a record is written, `format` of rpk or kcat, as in '%p %o %k %v\\n'; penstock help formats")
	f.StringVarP(&c.delim, "delimiter", "D", `\n`, "`text` after each record")
	f.StringVarP(&c.keyDelim, "key-delimiter", "K", "", "write the key first, and this `text` behind it")
	f.BoolVarP(&c.null, "null", "Z", false, "write NULL for a key or value that is null")
	f.BoolVarP(&c.regex, "regex", "r", false, "each TOPIC is a regular expression; topics made later are read too")
	f.BoolVar(&c.committed, "read-committed", false, "leave out records of transactions that are open or were aborted")
	c.conn.Flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := c.check(cmd, args); err != nil {
			return err
		}
		return c.conn.Unreachable(c.run(cmd))
	}
	cmd.ValidArgsFunction = c.conn.CompleteTopics
	return cmd
}

// check reads the flags and the arguments.
func (c *consumer) check(cmd *cobra.Command, topics []string) (err error) {
	f := cmd.Flags()
	if err := c.out.Set(c.out.Format); err != nil {
		return cli.Usage("--output %s: %w", c.out.Format, err)
	}
	var spans []span
	for _, o := range c.offsets {
		if slices.Contains([]string{"json", "jsonl", "yaml", "text", "wide"}, o) {
			if f.Changed("output") {
				return cli.Usage("-o %s and --output %s both say the form; use one of them", o, c.out.Format)
			}
			c.out.Format = o
			continue
		}
		s, err := parseSpan(o, time.Now())
		if err != nil {
			return err
		}
		spans = append(spans, s)
	}
	if c.span, err = merge(spans); err != nil {
		return err
	}
	if c.numbers, err = parsePartitions(c.parts); err != nil {
		return err
	}
	if c.count < 0 || (f.Changed("num") || f.Changed("count")) && c.count == 0 {
		return cli.Usage("-n %d: it is 1 or more; leave it out for all records", c.count)
	}
	if c.group != "" && c.numbers != nil {
		return cli.Usage("-g and -p exclude each other: a group gives its members their partitions")
	}
	if c.format == "json" || c.format == "jsonl" {
		c.out.Format, c.format = "jsonl", ""
	}
	c.topics = topics
	for i, t := range topics {
		if t == "" {
			return cli.Usage("a TOPIC is empty; penstock topic list shows those that exist")
		}
		if strings.HasPrefix(t, "^") && !c.regex {
			c.regex = true
			for j := range topics[:i] {
				topics[j] = "^" + regexp.QuoteMeta(topics[j]) + "$"
			}
		} else if c.regex && !f.Changed("regex") {
			topics[i] = "^" + regexp.QuoteMeta(t) + "$"
		}
	}
	delimited := f.Changed("delimiter") || f.Changed("key-delimiter") || c.null
	if c.format != "" && (f.Changed("delimiter") || f.Changed("key-delimiter")) || !c.out.Text() && (c.format != "" || delimited) {
		return cli.Usage("--output, -f, and -D, -K or -Z each say how records are written; use one of them")
	}
	c.write, err = c.writer(cmd.OutOrStdout(), delimited)
	return err
}

// writer is how a record is written.
func (c *consumer) writer(w io.Writer, delimited bool) (part, error) {
	null := ""
	if c.null {
		null = "NULL"
	}
	switch {
	case c.format != "":
		f, err := newFormatter(c.format, null)
		if err != nil {
			return nil, err
		}
		return f.append, nil
	case c.out.Format == "json" || c.out.Format == "jsonl":
		return jsonLine, nil
	case c.out.Format == "yaml":
		return yamlItem, nil
	case delimited:
		key := ""
		if c.keyDelim != "" {
			key = "%k" + strings.ReplaceAll(c.keyDelim, "%", "%%")
		}
		f, err := newFormatter(key+"%s"+strings.ReplaceAll(c.delim, "%", "%%"), null)
		if err != nil {
			return nil, err
		}
		return f.append, nil
	case c.out.Wide() || terminal(w):
		return reader{topic: c.regex || len(c.topics) > 1, wide: c.out.Wide(), color: cli.Color(w)}.write, nil
	}
	return raw, nil
}

// parsePartitions reads 0,2,5-7.
func parsePartitions(v string) (out []int32, err error) {
	if v == "" {
		return nil, nil
	}
	for _, one := range strings.Split(v, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(one), "-")
		if !isRange {
			to = from
		}
		a, err1 := strconv.ParseUint(from, 10, 31)
		b, err2 := strconv.ParseUint(to, 10, 31)
		if err1 != nil || err2 != nil || b < a || b-a > 1e6 {
			return nil, cli.Usage("-p %s: it is a number from 0 on, or several, as in 0,2,5-7", v)
		}
		for p := a; p <= b; p++ {
			out = append(out, int32(p))
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// fetchPartitionMax is how much of one partition is asked for at once.
const fetchPartitionMax = 8 << 20

func (c *consumer) options(r *reading) []kgo.Opt {
	opts := []kgo.Opt{kgo.FetchMaxPartitionBytes(fetchPartitionMax), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
	if c.committed {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	if c.group != "" {
		opts = append(append(opts, r.groupOptions()...), kgo.ConsumeTopics(c.topics...))
	}
	return opts
}

func (c *consumer) run(cmd *cobra.Command) (err error) {
	signal.Ignore(syscall.SIGPIPE) // a write tells it, so that what was printed is committed
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // a second Ctrl-C ends the process
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if out, ok := cmd.OutOrStdout().(*os.File); ok {
		go func() {
			if abandoned(out) {
				cancel(syscall.EPIPE)
			}
		}()
	}
	r := newReading(c, cmd)
	if r.asking, err = c.conn.Client(); err != nil {
		return err
	}
	defer r.asking.Close()
	r.adm = kadm.NewClient(r.asking)
	if err := r.begin(ctx); err != nil {
		return err
	}
	defer r.cl.Close()
	err = r.follow(ctx)
	return errors.Join(err, r.end())
}

// abandoned waits until nobody reads what is written to a pipe or socket any more. A verb
// that waits for records would otherwise notice with the next record only.
func abandoned(out *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(out.Fd())}}
	for {
		n, err := unix.Poll(fds, -1)
		if err == unix.EINTR {
			continue
		}
		return err == nil && n == 1 && fds[0].Revents&unix.POLLERR != 0
	}
}

// matcher says of a name whether one of the expressions fits.
func matcher(expressions []string) (func(string) bool, error) {
	var all []*regexp.Regexp
	for _, e := range expressions {
		re, err := regexp.Compile(e)
		if err != nil {
			return nil, cli.Usage("%q is not a regular expression: %w", e, err)
		}
		all = append(all, re)
	}
	return func(name string) bool {
		return slices.ContainsFunc(all, func(re *regexp.Regexp) bool { return re.MatchString(name) })
	}, nil
}

func note(w io.Writer, format string, args ...any) { fmt.Fprintf(w, "penstock: "+format+"\n", args...) }
