package core

import (
	"fmt"
	"os"
	"runtime/debug"
)

// Assert ends the process when our own invariant does not hold. It is always on,
// costs a branch, and is called per batch, never per record. It exits and never
// panics, so that no recover can go on with memory that is known to be wrong.
// The text is a constant: an assertion allocates nothing.
func Assert(ok bool, text string) {
	if !ok {
		Fail(text)
	}
}

// Fail is Assert(false, text).
func Fail(text string) {
	fmt.Fprintf(os.Stderr, "penstock: internal error: %s\nThis is a defect of penstock. What was acknowledged is on disk and will be recovered at the next start.\n%s\n", text, debug.Stack())
	os.Exit(70) // EX_SOFTWARE
}
