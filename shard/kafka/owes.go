package kafka

import codec "github.com/penstock/penstock/codec/kafka"

// Owes implements session.Owing: a Produce without acks is owed nothing.
func (s *Session) Owes() bool {
	for n := s.head; n != s.tail; n++ {
		if sl := &s.slots[n%slotsMax]; sl.key != codec.Produce || sl.produce.acks != 0 {
			return true
		}
	}
	return false
}
