//go:build poll_opt

package netio

// With this tag gnet keeps pointers in its epoll where netio has descriptors (bell.go).
var _ = buildWithoutTheTagPollOpt
