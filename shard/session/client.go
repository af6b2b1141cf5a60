package session

// Known is a Session that can say who its client is. It is asked on the loop, between
// steps.
type Known interface {
	Client() Client
}

// Client is what a client has said of itself. Both names are its own words.
type Client struct {
	ID       string
	Software string // name and version; "" if it did not say
	Requests int64  // that it has been answered, or wanted no answer to
}
