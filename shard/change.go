package shard

import "github.com/penstock/penstock/core"

// change is one command for the catalog on its way:
//
//	begin --job--> Run on Control: decide, make durable, publish
//	                 |
//	               Done: adopt here, tell every other shard
//	                 |
//	               adopted, once per shard --last--> the answer
type change struct {
	s       *Shard
	m       *message
	command core.Command
	result  core.CommandResult
	left    int // shards that have not taken it in
}

func (s *Shard) begin(m *message, cmd core.Command) {
	if s.stopping.on {
		s.refuse(m, core.ErrStopping)
		return
	}
	s.changing++
	s.cfg.Control.Submit(&change{s: s, m: m, command: cmd})
}

// Run implements core.Job.
func (c *change) Run() { c.result = c.s.cfg.Change(c.command) }

// Done implements core.Job.
func (c *change) Done() {
	s := c.s
	s.adopt()
	c.left = 1
	if c.result.Code == core.OK && !c.command.DryRun && c.command.Kind != core.AllocateProducerID {
		for i, l := range s.links {
			if l == nil || planted == loneAdopt {
				continue
			}
			m := s.message(kindAdopt)
			m.change = c
			c.left++
			s.send(core.ShardID(i), m, nil)
		}
	}
	s.adopted(c)
}

// adopted counts a shard that has taken the change in.
func (s *Shard) adopted(c *change) {
	if c.left--; c.left > 0 {
		return
	}
	s.changing--
	c.m.c.Result = &c.result
	if c.result.Code != core.OK {
		c.m.c.Outcome, c.m.c.Code = core.Refused, c.result.Code
	}
	s.answer(c.m)
}
