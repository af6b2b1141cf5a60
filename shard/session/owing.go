package session

// Owing is a Session that answers requests: a client that has ended its side of the
// connection gets the answers that are still to come.
type Owing interface {
	// Owes says whether a request is under way that will be answered.
	Owes() bool
}
