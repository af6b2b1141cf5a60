package meta

import (
	"github.com/penstock/penstock/core"
)

// Format is the version of the catalog file.
const Format = 1

// state is the fold of all events. Only the controller's goroutine touches it.
type state struct {
	Format    int                          `json:"format"`
	Cluster   string                       `json:"cluster"` // Kafka's cluster id
	Revision  int64                        `json:"revision"`
	Starts    core.Epoch                   `json:"starts"`       // unclean starts so far
	Producers int64                        `json:"producer_ids"` // ids below this may have been given out
	Topics    map[core.TopicID]*topic      `json:"topics"`
	Deleted   map[core.TopicID]tombstone   `json:"deleted"` // whose files may still exist
	names     map[string]core.TopicID      // of Topics
	built     map[core.TopicID]*core.Topic // what the last catalog holds, reused by the next
}

// topic is the durable part of a core.Topic.
type topic struct {
	Name     string            `json:"name"`
	Internal bool              `json:"internal,omitempty"`
	Owners   []core.ShardID    `json:"owners"`
	Set      map[string]string `json:"set,omitempty"`
	Created  int64             `json:"created"`
}

// tombstone is the only thing that lets files of a topic be removed.
type tombstone struct {
	Name string `json:"name"`
	At   int64  `json:"at"` // ms
}

// event is one change. Exactly one field beside Revision is set.
type event struct {
	Revision  int64                           `json:"revision"`
	Snapshot  *state                          `json:"snapshot,omitempty"`
	Put       map[core.TopicID]*topic         `json:"put,omitempty"` // created or replaced
	Delete    map[core.TopicID]tombstone      `json:"delete,omitempty"`
	Forget    []core.TopicID                  `json:"forget,omitempty"` // the files are gone
	Starts    *core.Epoch                     `json:"starts,omitempty"`
	Producers *int64                          `json:"producer_ids,omitempty"`
	Owners    map[core.TopicID][]core.ShardID `json:"owners,omitempty"`
}

func newState() *state {
	return &state{Format: Format, Topics: map[core.TopicID]*topic{}, Deleted: map[core.TopicID]tombstone{},
		names: map[string]core.TopicID{}, built: map[core.TopicID]*core.Topic{}}
}

// apply folds one event in. It is the only place where the state changes.
func (s *state) apply(e *event) {
	if e.Snapshot != nil {
		*s = *e.Snapshot
		s.reindex()
	}
	s.Revision = e.Revision
	for id, t := range e.Put {
		s.Topics[id] = t
		s.names[t.Name] = id
		delete(s.built, id)
	}
	for id, d := range e.Delete {
		delete(s.names, s.Topics[id].Name)
		delete(s.Topics, id)
		delete(s.built, id)
		s.Deleted[id] = d
	}
	for _, id := range e.Forget {
		delete(s.Deleted, id)
	}
	for id, owners := range e.Owners {
		t := *s.Topics[id]
		t.Owners = owners
		s.Topics[id] = &t
		delete(s.built, id)
	}
	if e.Starts != nil {
		s.Starts = *e.Starts
	}
	if e.Producers != nil {
		s.Producers = *e.Producers
	}
}

func (s *state) reindex() {
	s.names = make(map[string]core.TopicID, len(s.Topics))
	s.built = make(map[core.TopicID]*core.Topic, len(s.Topics))
	for id, t := range s.Topics {
		s.names[t.Name] = id
	}
	if s.Deleted == nil {
		s.Deleted = map[core.TopicID]tombstone{}
	}
}

// catalog makes the immutable view. Topics that did not change are shared with the last.
func (s *state) catalog(defaults core.TopicConfig) (*core.Catalog, error) {
	topics := make([]*core.Topic, 0, len(s.Topics))
	for id, t := range s.Topics {
		b := s.built[id]
		if b == nil {
			var err error
			if b, err = buildTopic(id, t, defaults); err != nil {
				return nil, err
			}
			s.built[id] = b
		}
		topics = append(topics, b)
	}
	return core.NewCatalog(s.Revision, s.Starts, topics), nil
}

func buildTopic(id core.TopicID, t *topic, defaults core.TopicConfig) (*core.Topic, error) {
	cfg, err := core.ParseTopicConfig(defaults, t.Set)
	if err != nil {
		return nil, err
	}
	if t.Internal { // its service says what is old, not the topic's age or size
		cfg.RetentionMs, cfg.RetentionBytes = -1, -1
	}
	return &core.Topic{ID: id, Name: t.Name, Internal: t.Internal, Partitions: t.Owners, Set: t.Set,
		Config: cfg, Created: t.Created}, nil
}
