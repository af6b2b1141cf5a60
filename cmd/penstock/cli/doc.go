// Package cli is what all verbs of the command line share: how a broker is reached, how
// an answer is printed, what an error says, and which exit code follows from it.
//
// Data goes to stdout and talk to stderr. A verb collects its answer in a value whose
// JSON form is complete, and hands it to Output.Print with a function that writes the
// same for a person.
package cli
