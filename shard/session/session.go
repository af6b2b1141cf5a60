// Package session is the contract between a shard and the state machines that run
// on it. A protocol's connection is a Session; a state that lives with a partition,
// such as a group coordinator, is a Service. Neither knows sockets, files, clocks or
// goroutines: inputs are arguments, outputs are data in an Effects value.
//
//	bytes --Receive--> Session --Append, Read, Query, Call--> shard --> owner's shard
//	bytes <----Out---- Session <---------Complete------------ shard <--'
//
// The rule of tickets: each Append, Read, Wait, Query, Call and Command is answered by
// exactly one Completion with the same Ticket, unless the connection closes first.
package session

import (
	"time"

	"github.com/penstock/penstock/core"
)

// Session is one connection's state machine.
type Session interface {
	// Receive reads frames from in; the first call comes when the connection opens, and
	// brings none. It returns the bytes used up and, if a frame is
	// incomplete, the bytes that must be there beyond used (see core.Handler). If it
	// has to wait (fx.Pause) it may leave whole frames unread; they are offered again.
	// An error closes the connection after the output; it is for the log.
	Receive(in []byte, fx *Effects) (used, need int, err error)
	// Complete takes an answer. The completion and its slices are borrowed until the
	// call returns; the session owns the holds of the extents in it.
	Complete(c *Completion, fx *Effects)
	// Writable says that the output, once over budget, has room again.
	Writable(fx *Effects)
	// Tick follows when the deadline that was last set has come.
	Tick(now time.Duration, fx *Effects)
	// Closed is the last call. Extents still held are released in it; waits that are
	// out are cancelled by the shard.
	Closed(fx *Effects)
}

// Service is a state machine that lives on the shard that owns its partition, and
// whose state is a fold over that partition's records.
type Service interface {
	Fold
	// Call takes a request. call.Body is borrowed until the call returns. The answer
	// is a Reply in fx, now or later, exactly once per ticket.
	Call(call *Call, fx *Effects)
	// Complete answers the service's own appends.
	Complete(c *Completion, fx *Effects)
	// Tick follows when the deadline that was last set has come.
	Tick(now time.Duration, fx *Effects)
}

// Fold is state that is a function of a partition's batches.
type Fold interface {
	// Apply takes the next durable or recovered batch: the bytes of one record batch
	// v2, borrowed until the call returns. Services see their own appends this way too,
	// before the completion.
	Apply(batch []byte)
	// Snapshot appends the state, as of the last batch applied, to dst.
	Snapshot(dst []byte) []byte
	// Restore replaces the state by a snapshot's; an error means that it is not usable
	// and that the fold begins empty, at the start of the log. All that came after the
	// snapshot is applied.
	Restore(blob []byte) error
}

// Host is what a session may ask its shard at any time. It is constant in a step.
type Host interface {
	core.Env
	Shard() core.ShardID
	Catalog() *core.Catalog
	Cluster() *core.Cluster
}

// Ticket names who waits for a completion: it crosses shards, and later wires.
type Ticket struct {
	Conn  core.ConnID  // of the asking shard; 0 for a service
	Shard core.ShardID // the shard that asks
	Slot  uint32       // the session's own number for the request
	Part  uint32       // and for the part of the request
}

// Append asks for one batch to be appended. The CRC and the form have been checked.
type Append struct {
	Ticket    Ticket
	Partition core.PartitionID
	Batch     []byte // one record batch v2, borrowed until the step returns
}

// Read asks for committed bytes. Refused with ErrOffsetRange outside of
// [LogStart, End]; with the epoch errors if Epoch is not -1 and not the partition's.
// The answer begins with the batch that holds From; it is empty at the high watermark.
type Read struct {
	Ticket    Ticket
	Partition core.PartitionID
	From      core.Offset
	Epoch     core.Epoch // -1: do not check
	Max       int        // bytes; the first batch is answered whole even if larger when First is set. 0: only the positions
	First     bool
}

// Wait asks for one completion when the readable end is above From, or when the
// partition goes away (Refused). At most one per ticket; Cancel takes it back, and
// is answered by the completion Cancelled unless another one is under way.
type Wait struct {
	Ticket    Ticket
	Partition core.PartitionID
	From      core.Offset
}

// QueryKind names a question or small change of one partition.
type QueryKind uint8

const (
	// QueryBounds answers LogStart, HighWatermark, End, LastStable and Epoch.
	QueryBounds QueryKind = iota + 1
	// QueryTime answers Base and Timestamp of the first record with a timestamp >= Arg
	// (milliseconds), or Base -1. Exact: it reads the batch's records.
	QueryTime
	// QueryMaxTime answers Base and Timestamp of the record with the largest timestamp.
	QueryMaxTime
	// QueryEpochEnd answers Epoch and Base: the largest epoch <= Arg and its end offset;
	// Arg itself and the beginning of the oldest if that is newer; both -1 if Arg is an
	// epoch of the future, or below 0.
	QueryEpochEnd
	// QueryTrim deletes the records below Arg (-1: the high watermark). LogStart in the
	// answer is the new one, durable.
	QueryTrim
	// QuerySize answers Size, the bytes on disk.
	QuerySize
)

// Query asks a partition.
type Query struct {
	Ticket    Ticket
	Partition core.PartitionID
	Kind      QueryKind
	Epoch     core.Epoch // -1: do not check
	Arg       int64
}

// Call asks the Service of an internal partition. Body is in the service's own
// encoding, borrowed until the step returns.
type Call struct {
	Ticket    Ticket
	Partition core.PartitionID
	Kind      int16 // the service's: for Kafka groups the API key
	Version   int16
	Body      []byte
}

// Reply answers a Call. Body is borrowed until the step returns.
type Reply struct {
	Ticket  Ticket
	Outcome core.Outcome
	Code    core.Code
	Body    []byte
}

// Change asks the single writer of the catalog. Answered after the change is durable
// and every shard has taken it in; the Completion then holds Result.
type Change struct {
	Ticket  Ticket
	Command core.Command
}

// Completion answers a ticket. Which fields count depends on what was asked.
type Completion struct {
	Ticket        Ticket
	Outcome       core.Outcome
	Code          core.Code
	Base          core.Offset // Append: of the batch. QueryTime, QueryMaxTime, QueryEpochEnd: see there
	Epoch         core.Epoch  // of the partition
	Timestamp     int64       // Append: the log append time, or -1 with CreateTime
	LogStart      core.Offset
	HighWatermark core.Offset
	LastStable    core.Offset
	End           core.Offset
	Size          int64
	Bytes         int           // Read: the sum of the extents' lengths
	Extents       []core.Extent // Read
	Body          []byte        // Call
	Result        *core.CommandResult
}

// Out is one run of output: bytes (copied by the loop), or an extent whose hold passes
// to the loop.
type Out struct {
	Bytes  []byte
	Extent core.Extent
}

// RequestKind is what a client asked for, as far as statistics tell requests apart.
type RequestKind uint8

// Kinds of requests.
const (
	OtherRequest RequestKind = iota
	ProduceRequest
	FetchRequest
)

// Answered is a request of a client that ends with this step. Began is Env.Mono of the
// turn in which it came; of a Fetch that had to wait for data, of the end of the wait.
type Answered struct {
	Kind  RequestKind
	Began time.Duration
}

// Effects is all that leaves a step. The shard owns it, resets it before and carries
// it out after the step, in the order of the fields: Append, Read, Wait, Cancel,
// Query, Call, Change, Reply, Out, Deadline, Pause, Close. Slices keep their capacity;
// steady state allocates nothing.
type Effects struct {
	Append []Append
	Read   []Read
	Wait   []Wait
	Cancel []Ticket // of waits
	Query  []Query
	Call   []Call
	Change []Change
	Reply  []Reply
	Out    []Out
	// Answered is for statistics and has no effect.
	Answered []Answered
	// Deadline is when Tick shall be called (Env.Mono); it stays until it is changed.
	// 0 leaves it as it is, a negative value takes it away.
	Deadline time.Duration
	// Pause is whether Receive shall rest. The session sets it in every step; the shard
	// calls Receive again with what is buffered when it goes from true to false.
	Pause bool
	// Close closes the connection after Out has been sent.
	Close bool
}

// Reset empties the effects and keeps the memory.
func (fx *Effects) Reset() {
	clear(fx.Out) // drops references to extents that have been passed on
	clear(fx.Change)
	*fx = Effects{Append: fx.Append[:0], Read: fx.Read[:0], Wait: fx.Wait[:0], Cancel: fx.Cancel[:0],
		Query: fx.Query[:0], Call: fx.Call[:0], Change: fx.Change[:0], Reply: fx.Reply[:0], Out: fx.Out[:0], Answered: fx.Answered[:0]}
}

// Send appends bytes to the output.
func (fx *Effects) Send(p []byte) { fx.Out = append(fx.Out, Out{Bytes: p}) }

// SendExtent appends log bytes to the output.
func (fx *Effects) SendExtent(e core.Extent) { fx.Out = append(fx.Out, Out{Extent: e}) }
