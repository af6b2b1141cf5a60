package records

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// anyPartition has the client choose the partition of a record.
const anyPartition = -1

// producer is the verb produce, with its flags.
type producer struct {
	conn cli.Conn
	out  cli.Output

	topic     string
	paths     []string
	format    string
	input     string
	delim     string
	keyDelim  string
	key       string
	headers   []string
	null      bool
	lines     bool
	partition int32
	codec     string
	acks      string
	maxBytes  int32
	quiet     bool

	placed  bool // -p was given
	keyed   bool // -k was given
	cut     cutting
	fixed   []kgo.RecordHeader
	gate    sync.Mutex // of sending a record
	shut    bool
	ledger  *ledger
	cl      *kgo.Client
	started time.Time
}

func produceCommand() *cobra.Command {
	p := &producer{}
	cmd := &cobra.Command{
		Use:   "produce [TOPIC] [FILE...]",
		Short: "Write records: lines of stdin, files, JSON or any format",
		Long: `Produce writes records to a topic. It reads lines from stdin, each of which becomes the
value of a record; -K, -f and --input json read more than values. What becomes of every
record is told at the end, on stderr; the exit code is 1 if any was not acknowledged.

A FILE is one record, whole, as with kcat; with -l, -f, -D, -K or --input it is read as
stdin is. A FILE named - is stdin. An empty line is a record with an empty value.

Without TOPIC the records name their topics: a format with %t, or JSON. A topic that does
not exist is made if the broker makes topics by itself (auto.create.topics.enable).

-K, -k, -H, -p, -D, -Z, -z, -l and -q are kcat's; -f, --acks and -k are rpk's. Keys choose
partitions as Java clients have them (murmur2); kcat's default differs (CRC-32).`,
		Example: `  echo hello | penstock produce demo
  penstock produce users -K : -H source=import -z zstd < users.txt
  penstock produce images photo.jpg -k photo.jpg --max-message-bytes 4000000
  penstock consume demo -o start -e --output json | penstock produce copy --input json`,
		Args: cli.Args(0, -1),
	}
	f := cmd.Flags()
	f.StringVarP(&p.format, "format", "f", "", "how records are read, `format` of rpk or kcat, as in '%k %v\\n'; penstock help formats")
	f.StringVar(&p.input, "input", "text", "`form` of the input: text, or json for one object per line as consume --output json writes it")
	f.StringVarP(&p.delim, "delimiter", "D", `\n`, "`text` between records")
	f.StringVarP(&p.keyDelim, "key-delimiter", "K", "", "`text` between key and value; a record without it has no key")
	f.StringVarP(&p.key, "key", "k", "", "`key` of every record that brings none")
	f.StringArrayVarP(&p.headers, "header", "H", nil, "a header for every record, `name=value`; name alone is null (repeatable)")
	f.BoolVarP(&p.null, "null", "Z", false, "an empty key or value is null; a null value is a tombstone")
	f.BoolVarP(&p.lines, "lines", "l", false, "read each FILE as stdin is read")
	f.Int32VarP(&p.partition, "partition", "p", anyPartition, "write to this `partition`; -1 chooses one even for records that name theirs")
	f.StringVarP(&p.codec, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	f.StringVar(&p.acks, "acks", "all", "which replicas must have a record: all, 1 or 0; with all no record is written twice")
	f.Int32Var(&p.maxBytes, "max-message-bytes", 1048588, "largest batch to send; the topic's max.message.bytes must allow it")
	f.BoolVarP(&p.quiet, "quiet", "q", false, "say nothing of what was delivered")
	p.out.Flags(cmd)
	f.Lookup("output").Usage = "what was delivered, on stdout: json or yaml for the run, jsonl for each record; text tells it on stderr"
	p.conn.Flags(cmd)
	cmd.ValidArgsFunction = p.completeArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p.placed, p.keyed = f.Changed("partition"), f.Changed("key")
		if err := p.check(cmd, args); err != nil {
			return err
		}
		return p.run(cmd)
	}
	return cmd
}

// completeArgs gives a shell topics, and files after the topic.
func (p *producer) completeArgs(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return p.conn.CompleteTopics(cmd, args, prefix)
}

// check reads the flags and the arguments.
func (p *producer) check(cmd *cobra.Command, args []string) (err error) {
	f := cmd.Flags()
	if p.cut.delim, err = unescape("-D", p.delim); err != nil {
		return err
	}
	if p.keyDelim != "" {
		if p.cut.keyDelim, err = unescape("-K", p.keyDelim); err != nil {
			return err
		}
	}
	switch p.input {
	case "text":
	case "json", "jsonl":
		p.cut.json = true
	default:
		return cli.Usage("--input %s: it is text or json%s", p.input, strings.TrimSuffix(cli.Hint(p.input, []string{"text", "json"}, ""), "; "))
	}
	if p.format == "json" {
		p.format, p.cut.json = "", true
	}
	delimited := f.Changed("delimiter") || f.Changed("key-delimiter")
	if p.cut.json && (p.format != "" || delimited) || p.format != "" && delimited {
		return cli.Usage("-f, --input json and -D or -K each say how records are read; use one of them")
	}
	if p.format != "" {
		if p.cut.format, p.cut.has, err = readerLayout(p.format); err != nil {
			return err
		}
		if _, err := p.cut.open(nil, ""); err != nil {
			return err
		}
	}
	p.lines = p.lines || p.cut.json || p.format != "" || delimited
	if len(args) > 0 {
		p.topic, p.paths = args[0], args[1:]
	}
	if named := p.cut.has['t']; named && p.topic != "" {
		return cli.Usage("the format has %%t, so the records name their topics, and yet the topic %q is given; leave out one of them", p.topic)
	} else if !named && !p.cut.json && p.topic == "" {
		return cli.Usage("penstock produce needs a TOPIC, or a format with %%t; penstock produce --help shows how")
	}
	if p.placed && p.partition < anyPartition {
		return cli.Usage("-p %d: partitions are numbered from 0; -1 chooses one", p.partition)
	}
	for _, h := range p.headers {
		at := strings.IndexAny(h, "=:") // kcat writes name=value, rpk name:value
		if at < 0 {
			p.fixed = append(p.fixed, kgo.RecordHeader{Key: h})
			continue
		}
		p.fixed = append(p.fixed, kgo.RecordHeader{Key: h[:at], Value: []byte(h[at+1:])})
	}
	return nil
}

// unescape reads a delimiter: \n, \t, \r, \\ and \xNN, as in a format.
func unescape(flag, v string) ([]byte, error) {
	f, err := kgo.NewRecordFormatter(strings.ReplaceAll(kcatText(v), "%", "%%"))
	if err != nil {
		return nil, cli.Usage("%s %q: %w", flag, v, err)
	}
	b := f.AppendRecord(nil, &kgo.Record{})
	if len(b) == 0 {
		return nil, cli.Usage("%s is empty; -f '%%v' or a FILE takes all of the input as one record", flag)
	}
	return b, nil
}

var compressions = map[string]func() kgo.CompressionCodec{
	"none": kgo.NoCompression, "gzip": kgo.GzipCompression, "snappy": kgo.SnappyCompression, "lz4": kgo.Lz4Compression, "zstd": kgo.ZstdCompression,
}

// bufferedMax is how much the client holds that is not acknowledged.
const bufferedMax = 64 << 20

func (p *producer) options() ([]kgo.Opt, error) {
	codec, ok := compressions[p.codec]
	if !ok {
		known := []string{"none", "gzip", "snappy", "lz4", "zstd"}
		return nil, cli.Usage("-z %s: there is no such compression%s", p.codec, cli.Hint(p.codec, known, "it is "+joined(known)))
	}
	opts := []kgo.Opt{
		kgo.ProducerBatchCompression(codec()), kgo.RecordPartitioner(placing{kgo.StickyKeyPartitioner(nil)}),
		kgo.AllowAutoTopicCreation(), kgo.ProduceRequestTimeout(max(p.conn.Timeout, time.Second)),
		kgo.ProducerBatchMaxBytes(p.maxBytes), kgo.BrokerMaxWriteBytes(max(100<<20, p.maxBytes*2)),
		kgo.MaxBufferedRecords(1 << 20), kgo.MaxBufferedBytes(max(bufferedMax, int(p.maxBytes)*2)),
	}
	if p.topic != "" {
		opts = append(opts, kgo.DefaultProduceTopic(p.topic))
	}
	switch p.acks {
	case "all", "-1":
		p.acks = "all"
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, cli.Usage("--acks %s: it is all, 1 or 0", p.acks)
	}
	return opts, nil
}

func (p *producer) run(cmd *cobra.Command) error {
	opts, err := p.options()
	if err != nil {
		return err
	}
	if p.cl, err = p.conn.Client(opts...); err != nil {
		return err
	}
	defer p.cl.Close()
	missing, err := p.look(cmd)
	if err != nil {
		return p.conn.Unreachable(err)
	}
	p.ledger = newLedger()
	if p.out.Format == "jsonl" {
		p.ledger.lines = &deliveredLines{w: cmd.OutOrStdout()}
	}
	if in, ok := cmd.InOrStdin().(*os.File); ok && len(p.paths) == 0 && cli.IsTerminal(in) && !p.quiet {
		fmt.Fprintf(cmd.ErrOrStderr(), "reading records for %s; Ctrl-D ends\n", map[bool]string{true: "their topics", false: p.topic}[p.topic == ""])
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // a second Ctrl-C ends the process
	p.started = time.Now()
	sending, giveUp := context.WithCancel(context.Background())
	defer giveUp()
	last, readErr := p.send(ctx, sending, cmd.InOrStdin())
	if errors.Is(readErr, errStalled) {
		giveUp()
	}
	if err := p.finish(giveUp); err != nil {
		readErr = errors.Join(readErr, err)
	}
	d := p.ledger.report(p.acks, time.Since(p.started))
	if err := p.print(cmd, &d); err != nil {
		return err
	}
	if missing && d.Records > 0 && !p.quiet {
		fmt.Fprintf(cmd.ErrOrStderr(), "the topic %s did not exist; the broker has made it\n", p.topic)
	}
	return p.verdict(cmd, &d, last, readErr)
}

// look asks whether the topic and the partition exist before anything is read.
func (p *producer) look(cmd *cobra.Command) (missing bool, err error) {
	ctx, cancel := p.conn.Context(cmd)
	defer cancel()
	adm, err := p.conn.Admin() // p.cl would have the topic made
	if err != nil {
		return false, err
	}
	defer adm.Close()
	if p.topic == "" {
		_, err := adm.BrokerMetadata(ctx)
		return false, err
	}
	m, err := adm.Metadata(ctx, p.topic)
	if err != nil {
		return false, err
	}
	t := m.Topics[p.topic]
	if isUnknownTopic(t.Err) {
		return true, nil
	} else if t.Err != nil {
		return false, cli.Fail(cli.ExitFailed, "the topic %q: %w", p.topic, t.Err)
	}
	if have := t.Partitions.Numbers(); p.placed && p.partition >= 0 && !slices.Contains(have, p.partition) {
		return false, cli.Fail(cli.ExitFailed, "%s has no partition %d: it has %d, numbered from 0; penstock topic describe %s shows them", p.topic, p.partition, len(have), p.topic)
	}
	return false, nil
}

func isUnknownTopic(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID)
}

// send reads all records and hands them to the client, until the input ends, is wrong, or
// ctx ends. Reading cannot be interrupted, so it has a goroutine of its own, which is left
// behind when ctx ends; the gate sees to it that nothing is sent from then on.
func (p *producer) send(ctx, sending context.Context, stdin io.Reader) (last where, err error) {
	if len(p.paths) == 0 {
		p.paths, p.lines = []string{"-"}, true
	}
	from := &files{paths: p.paths, stdin: stdin}
	if p.lines {
		from.cut = &p.cut
	}
	type end struct {
		last where
		err  error
	}
	done, stalled := make(chan end, 1), make(chan error, 1)
	go func() {
		last, err := p.sendAll(sending, from)
		done <- end{last, err}
	}()
	watching, unwatch := context.WithCancel(context.Background())
	defer unwatch()
	go func() { stalled <- p.watch(watching) }()
	select {
	case e := <-done:
		return e.last, e.err
	case err := <-stalled:
		return where{}, err
	case <-ctx.Done():
		closed := make(chan struct{})
		go func() {
			p.gate.Lock()
			p.shut = true
			p.gate.Unlock()
			close(closed)
		}()
		select { // a record that waits for room in the client goes first
		case <-closed:
			return where{}, ctx.Err()
		case err := <-stalled:
			return where{}, err
		}
	}
}

// sendAll sends until the input ends or is wrong, or the gate is shut. When ctx ends, what
// the client has not sent fails.
func (p *producer) sendAll(ctx context.Context, from source) (where, error) {
	for {
		in, err := from.next()
		if err == io.EOF {
			return in.where, nil
		} else if err != nil {
			return in.where, err
		}
		p.complete(&in)
		p.gate.Lock()
		if p.shut {
			p.gate.Unlock()
			return in.where, context.Canceled
		}
		p.ledger.handed(time.Now())
		p.cl.Produce(ctx, in.record, func(r *kgo.Record, err error) {
			p.ledger.finished(r, p.explain(&in, r, err), in.where, time.Now())
		})
		p.gate.Unlock()
	}
}

// complete gives a record what the flags say.
func (p *producer) complete(in *input) {
	r := in.record
	if p.keyed && r.Key == nil {
		r.Key = []byte(p.key)
	}
	if p.topic != "" {
		r.Topic = p.topic
	}
	if p.null {
		if len(r.Key) == 0 {
			r.Key = nil
		}
		if len(r.Value) == 0 {
			r.Value = nil
		}
	}
	r.Headers = append(r.Headers, p.fixed...)
	if p.placed {
		r.Partition = p.partition
	} else if !in.placed {
		r.Partition = anyPartition
	}
}

// explain says in a person's words why a record was not written.
func (p *producer) explain(in *input, r *kgo.Record, err error) error {
	switch {
	case err == nil:
		return nil
	case r.Topic == "":
		return errors.New("the record names no topic; name one as the first argument")
	case isUnknownTopic(err):
		return fmt.Errorf("there is no topic %q, and the broker does not make topics by itself; penstock topic create %s makes it", r.Topic, r.Topic)
	case strings.Contains(err.Error(), "invalid record partitioning choice"):
		return fmt.Errorf("the topic %s has no partition %d, which the record names; -p -1 has one chosen", r.Topic, r.Partition)
	case errors.Is(err, kerr.MessageTooLarge):
		return fmt.Errorf("the record of %s is too large: --max-message-bytes is %d, and the topic's max.message.bytes may be less (penstock topic describe %s)", byteSize(int64(len(r.Key)+len(r.Value))), p.maxBytes, r.Topic)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("it was not sent: nothing was acknowledged for %s (--timeout)", p.conn.Timeout)
	}
	return err
}

// errStalled says that the broker does not answer any more.
var errStalled = errors.New("no broker answers any more")

// watch returns when records are outstanding and nothing has been heard of any for the
// timeout, or when ctx ends.
func (p *producer) watch(ctx context.Context) error {
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := p.ledger.tell(); err != nil {
			return err
		}
		if n, since := p.ledger.outstanding(); n > 0 && time.Since(since) > p.conn.Timeout+time.Second {
			return errStalled
		}
	}
}

// finish waits until every record has its answer, or none comes any more. Then what was
// never sent is given up and so known to have failed; what was sent may have been written.
func (p *producer) finish(giveUp func()) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	stalled, flushed := make(chan error, 1), make(chan error, 1)
	go func() { stalled <- p.watch(ctx) }()
	go func() { flushed <- p.cl.Flush(ctx) }()
	select {
	case err := <-flushed:
		return err
	case err := <-stalled:
		giveUp()
		select {
		case <-flushed:
		case <-time.After(time.Second):
		}
		return err
	}
}

func (p *producer) print(cmd *cobra.Command, d *delivered) error {
	switch {
	case p.out.Format == "jsonl":
		return p.ledger.tell()
	case !p.out.Text():
		return p.out.Print(cmd.OutOrStdout(), d, nil)
	case !p.quiet:
		d.summary(cmd.ErrOrStderr())
	}
	return nil
}

// verdict is how the run ended: nil when everything that was read is acknowledged.
func (p *producer) verdict(cmd *cobra.Command, d *delivered, last where, readErr error) error {
	w := cmd.ErrOrStderr()
	for _, f := range d.Failures {
		at := where{f.File, f.Line}
		fmt.Fprintf(w, "penstock: %s: %s\n", at, f.Error)
	}
	if more := d.Failed - int64(len(d.Failures)); more > 0 {
		fmt.Fprintf(w, "penstock: and %s more\n", grouped(more))
	}
	tally := fmt.Sprintf("%s acknowledged", counted(d.Records, "record")+" "+was(d.Records))
	switch {
	case errors.Is(readErr, errStalled) || d.Unknown > 0:
		return cli.Fail(cli.ExitFailed, "no broker has answered for %s: %s, %s failed, and of %s nothing is known, so they may have been written", p.conn.Timeout, tally, grouped(d.Failed), grouped(d.Unknown))
	case errors.Is(readErr, context.Canceled):
		if !p.quiet {
			fmt.Fprintf(w, "interrupted: %s, and no record was sent that is not\n", tally)
		}
		if d.Failed == 0 {
			return readErr
		}
	case readErr != nil:
		return cli.Fail(cli.ExitFailed, "%s: %w; %s, and nothing from there on was read", last, readErr, tally)
	}
	if d.Failed > 0 {
		return cli.Fail(cli.ExitFailed, "%s failed; %s", counted(d.Failed, "record"), tally)
	}
	return nil
}

func was(n int64) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// placing is a partitioner that puts a record where it wants to be, and leaves one without
// a wish to another partitioner.
type placing struct{ kgo.Partitioner }

func (p placing) ForTopic(t string) kgo.TopicPartitioner {
	return &placingTopic{p.Partitioner.ForTopic(t)}
}

type placingTopic struct{ kgo.TopicPartitioner }

func (p *placingTopic) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition != anyPartition || p.TopicPartitioner.RequiresConsistency(r)
}

func (p *placingTopic) Partition(r *kgo.Record, n int) int {
	if r.Partition != anyPartition {
		return int(r.Partition)
	}
	return p.TopicPartitioner.Partition(r, n)
}

func (p *placingTopic) OnNewBatch() {
	if b, ok := p.TopicPartitioner.(kgo.TopicPartitionerOnNewBatch); ok {
		b.OnNewBatch()
	}
}
