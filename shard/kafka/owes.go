package kafka

// Owes implements session.Owing.
func (s *Session) Owes() bool {
	for n := s.head; n != s.tail; n++ {
		if !s.slots[n%slotsMax].silent {
			return true
		}
	}
	return false
}
