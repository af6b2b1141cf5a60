//go:build !invariants && !race

package core

// Invariants turns on checks that are too dear for production: on under -race and
// with the build tag "invariants".
const Invariants = false
