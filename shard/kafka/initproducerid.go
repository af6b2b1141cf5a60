package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// InitProducerId (22), versions 0 to 5: idempotence only. Each request is given a new
// id with epoch 0, also one that names the id it had (KIP-360): its sequences begin
// anew with the new id, which is also what Kafka answers without a transactional id. An
// id without an epoch, or the reverse, is INVALID_REQUEST. A transactional id is refused:
// transactions are not served, and a producer that was told otherwise would not be atomic.
func (s *Session) onInitProducerID(sl *slot, h *codec.Header, fx *session.Effects) {
	req := kmsg.NewPtrInitProducerIDRequest()
	if !s.decode(req, h) {
		return
	}
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	switch {
	case req.TransactionalID != nil && *req.TransactionalID == "", (req.ProducerID == -1) != (req.ProducerEpoch == -1):
		resp.ErrorCode = codec.InvalidRequest
		s.answer(sl, resp)
		return
	case req.TransactionalID != nil:
		// The response has no room for a text; this error is final to every client.
		resp.ErrorCode = codec.TransactionalIDNotAuthorized
		s.answer(sl, resp)
		return
	}
	t := s.expect(sl, func(c *session.Completion) {
		if resp.ErrorCode, _ = resultOf(c); resp.ErrorCode == codec.NoError {
			resp.ProducerID, resp.ProducerEpoch = c.Result.ProducerID, 0
			return
		}
		resp.ErrorCode = codec.CoordinatorNotAvailable // clients try again
	})
	fx.Change = append(fx.Change, session.Change{Ticket: t, Command: core.Command{Kind: core.AllocateProducerID}})
	s.whenDone(sl, func(sl *slot) { s.answer(sl, resp) })
}
