package main

import "time"

// refusals is how many clients the listeners have turned away.
type refusals struct {
	Refused   int64 `json:"refused"`   // closed at once: too many connections, or no descriptor for one more
	Exhausted int64 `json:"exhausted"` // how often there was no descriptor, or no memory for a socket
}

func (s *server) refusals() (r refusals) {
	for _, l := range s.listeners {
		r.Refused += l.Refused()
		r.Exhausted += l.Exhausted()
	}
	return r
}

// refusalsEvery is how often the log may say that clients are refused.
const refusalsEvery = 2 * time.Second

// tellRefusals says in the log that clients are refused, and what to do, until stopped is
// closed.
func (s *server) tellRefusals(stopped <-chan struct{}) {
	var told refusals
	for {
		select {
		case <-stopped:
			return
		case <-time.After(refusalsEvery):
		}
		r := s.refusals()
		if r.Refused == told.Refused {
			continue
		}
		why, remedy := "as many connections as connections_max and the limit of open files allow", "raise --connections-max, or the limit of open files (ulimit -n, LimitNOFILE=)"
		if r.Exhausted > told.Exhausted {
			why, remedy = "no file descriptor was left", "raise the limit of open files (ulimit -n, LimitNOFILE=, fs.file-max)"
		}
		s.log.Warn("clients are refused: "+why, "refused", r.Refused-told.Refused, "open", s.limit.Open(), "max", s.limit.Max(), "remedy", remedy)
		told = r
	}
}
