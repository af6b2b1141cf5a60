// Package kafka turns bytes of the Kafka protocol into values and back. It is
// stateless and holds no I/O, so all of it can be fuzzed.
//
//	request   |length 4|key 2|version 2|correlation 4|client id 2+n|[tags]|body…
//	          `netio---' `--------- ReadHeader -------------------------' `-- CheckBody, then kmsg;
//	                                                                          Produce and Fetch: own decoders
//	response  |length 4|correlation 4|[tags]|body…
//	          `-- BeginResponse --------------'     EndResponse fills in the length
//
// Tags are there in flexible versions only (KIP-482), and never in the header of an
// ApiVersions response.
//
// No bytes of a peer reach a kmsg decoder before CheckBody has walked them: kmsg trusts
// the count of a tag section, so that seven bytes cost it most of a minute. Produce and
// Fetch have decoders and encoders of their own, which allocate nothing once warm; kmsg
// is their oracle in the tests.
//
// What a decoded request holds aliases the input and lives as long as it.
package kafka
