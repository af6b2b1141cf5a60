package run

import "github.com/penstock/penstock/bench/result"

// Watch is what a process has used since it began, and what it holds; ok is false if it
// is gone or not ours to see.
func Watch(pid int) (u result.Usage, ok bool) {
	seen, ok := look(pid)
	return result.Usage{CPUSeconds: seen.cpu, RSS: seen.rss, RSSAnon: seen.anon}, ok
}
