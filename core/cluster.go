package core

// Cluster is what does not change while the process runs.
type Cluster struct {
	ID        string // Kafka's cluster id: base64, 22 characters
	Node      NodeID // the one broker of the normal view
	CoreBase  NodeID // core i of the per-core view is CoreBase+i; the ranges of the two views never overlap
	Rack      string // the host: all brokers of the per-core view share it
	Shards    int
	Brokers   int // of the per-core view; 0 if it is off. Broker i stands for the shards with number modulo Brokers = i
	Listeners []Listener
}

// NormalView is the Listener.Core of a listener that shows one broker.
const NormalView = -1

// Listener is one configured port and what its clients are shown.
type Listener struct {
	Protocol   string // "kafka"
	Bind       string // host:port as bound
	Core       int    // NormalView, or which core of the per-core view this port is
	Advertised string // host to show, or "" for the local address that the client reached us at
	Port       int32  // port to show
}

// CorePort returns the listener that shows core i, or nil.
func (c *Cluster) CorePort(i int) *Listener {
	for k := range c.Listeners {
		if c.Listeners[k].Core == i {
			return &c.Listeners[k]
		}
	}
	return nil
}
