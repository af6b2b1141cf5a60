// Package client has the verbs that look after topics and groups of any Kafka broker, and
// the doctor. They speak the public protocol only.
//
// A verb makes one value, whose JSON is complete; for people it becomes a table. What
// could not be done for some of the names goes to stderr, one line each, and into the
// error fields of that value; the others are done.
package client
