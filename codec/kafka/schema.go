package kafka

import (
	"strconv"
	"strings"
)

// The bodies of the requests, for CheckBody. A field is name/type, and in a struct that
// has tags in flexible versions the tags follow the last field without being written.
//
//	i8 i16 i32 i64 uuid      so many bytes (a bool is an i8)
//	string bytes             with their length
//	[]string []i32           array of such values
//	name/[ field… ]          array of structs
//	name/{ field… }          struct; null or present is one byte (the ? is part of it)
//	name/<n type>            tag n, of which we know the form
//	…?                       may be null; …?2+ from version 2 on
//	…:3+ …:0-12              the versions that have the field; all if not said
//
// Taken from the message definitions of Apache Kafka; held to kmsg's by a test.
const (
	produceFields = `transactional/string? acks/i16 timeout/i32
		topics/[ name/string:0-12 id/uuid:13+ partitions/[ partition/i32 records/bytes? ] ]`

	fetchFields = `cluster/<0 string?> replica/i32:0-14 state/<1 { id/i32 epoch/i64 }>
		wait/i32 min/i32 max/i32 isolation/i8 session/i32:7+ epoch/i32:7+
		topics/[ name/string:0-12 id/uuid:13+ partitions/[ partition/i32 epoch/i32:9+ offset/i64
			lastEpoch/i32:12+ logStart/i64:5+ max/i32 directory/<0 uuid> highWatermark/<1 i64> ] ]
		forgotten/[ name/string:7-12 id/uuid:13+ partitions/[]i32 ]:7+ rack/string:11+`

	listOffsetsFields = `replica/i32 isolation/i8:2+
		topics/[ name/string partitions/[ partition/i32 epoch/i32:4+ timestamp/i64 ] ] timeout/i32:10+`

	metadataFields = `topics/[ id/uuid:10+ name/string?10+ ]?1+
		create/i8:4+ clusterOperations/i8:8-10 topicOperations/i8:8+`

	offsetCommitFields = `group/string generation/i32 member/string instance/string?:7+ retention/i64:2-4
		topics/[ name/string:0-9 id/uuid:10+ partitions/[ partition/i32 offset/i64 epoch/i32:6+ metadata/string? ] ]`

	offsetFetchFields = `group/string:0-7 topics/[ name/string partitions/[]i32 ]?2+:0-7
		groups/[ group/string member/string?:9+ epoch/i32:9+
			topics/[ name/string:8-9 id/uuid:10+ partitions/[]i32 ]? ]:8+ stable/i8:7+`

	findCoordinatorFields = `key/string:0-3 type/i8:1+ keys/[]string:4+`

	joinGroupFields = `group/string session/i32 rebalance/i32:1+ member/string instance/string?:5+ type/string
		protocols/[ name/string metadata/bytes ] reason/string?:8+`

	heartbeatFields = `group/string generation/i32 member/string instance/string?:3+`

	leaveGroupFields = `group/string member/string:0-2
		members/[ member/string instance/string? reason/string?:5+ ]:3+`

	syncGroupFields = `group/string generation/i32 member/string instance/string?:3+ type/string?:5+ name/string?:5+
		assignments/[ member/string assignment/bytes ]`

	describeGroupsFields = `groups/[]string operations/i8:3+`

	listGroupsFields = `states/[]string:4+ types/[]string:5+`

	apiVersionsFields = `name/string:3+ version/string:3+ cluster/string?:5+ node/i32:5+`

	createTopicsFields = `topics/[ name/string partitions/i32 replication/i16
			assignments/[ partition/i32 brokers/[]i32 ] configs/[ name/string value/string? ] ]
		timeout/i32 validate/i8:1+`

	deleteTopicsFields = `topics/[ name/string? id/uuid ]:6+ names/[]string:0-5 timeout/i32`

	deleteRecordsFields = `topics/[ name/string partitions/[ partition/i32 offset/i64 ] ] timeout/i32`

	initProducerIDFields = `transactional/string? timeout/i32 producer/i64:3+ epoch/i16:3+`

	offsetForLeaderEpochFields = `replica/i32:3+ topics/[ name/string partitions/[ partition/i32 current/i32:2+ epoch/i32 ] ]`

	describeConfigsFields = `resources/[ type/i8 name/string keys/[]string? ] synonyms/i8:1+ documentation/i8:3+`

	alterConfigsFields = `resources/[ type/i8 name/string configs/[ name/string value/string? ] ] validate/i8`

	describeLogDirsFields = `topics/[ name/string partitions/[]i32 ]?`

	createPartitionsFields = `topics/[ name/string count/i32 assignments/[ brokers/[]i32 ]? ] timeout/i32 validate/i8`

	deleteGroupsFields = `groups/[]string`

	incrementalAlterConfigsFields = `resources/[ type/i8 name/string configs/[ name/string operation/i8 value/string? ] ] validate/i8`

	offsetDeleteFields = `group/string topics/[ name/string partitions/[ partition/i32 ] ]`

	describeClusterFields = `operations/i8 endpoint/i8:1+ fenced/i8:2+`

	describeTopicPartitionsFields = `topics/[ name/string ] limit/i32 cursor/{ topic/string partition/i32 }?`
)

type opKind uint8

const (
	opFixed  opKind = iota // width bytes
	opString               // length and bytes
	opBytes                // length and bytes
	opArray                // count, then body so many times
	opStruct               // null or present, then body
	opTags                 // tag section; body holds an opTag for each tag we know
	opTag                  // width is the tag, body its content
)

// op is one step of walking a body of one version.
type op struct {
	kind  opKind
	null  bool
	width int // bytes of a fixed value or, at least, of an array's element
	name  string
	body  []op
}

// compile makes the program of one version. The schemas are constants of ours: a
// mistake in one is found at the first start, and by every test.
func compile(fields string, version int16, flexible bool) []op {
	c := compiler{tokens: strings.Fields(fields), version: int(version), flexible: flexible}
	ops := c.structure("")
	if len(c.tokens) > 0 {
		panic("schema goes on after its end: " + c.tokens[0])
	}
	return ops
}

type compiler struct {
	tokens   []string
	version  int
	flexible bool
	end      string // the suffix of the bracket that closed the last structure
}

// structure reads fields up to the closing bracket (none: the end), and adds the tags.
func (c *compiler) structure(closing string) (ops []op) {
	var known []op
	for len(c.tokens) > 0 {
		token := c.tokens[0]
		c.tokens = c.tokens[1:]
		if closing != "" && strings.HasPrefix(token, closing) {
			c.end = token[1:]
			break
		}
		name, kind, _ := strings.Cut(token, "/")
		if tag, ok := strings.CutPrefix(kind, "<"); ok {
			n, _ := strconv.Atoi(tag)
			known = append(known, op{kind: opTag, name: name, width: n, body: c.tag(name)})
			continue
		}
		o, ok := c.field(name, kind)
		if !ok {
			continue
		}
		if last := len(ops) - 1; o.kind == opFixed && last >= 0 && ops[last].kind == opFixed {
			ops[last].width += o.width
			continue
		}
		ops = append(ops, o)
	}
	if c.flexible {
		ops = append(ops, op{kind: opTags, name: "tags", body: known})
	}
	return ops
}

// tag reads the type of a tag up to the ">".
func (c *compiler) tag(name string) []op {
	if c.tokens[0] == "{" {
		c.tokens = c.tokens[1:]
		return c.structure("}>")
	}
	o, _ := c.field(name, strings.TrimSuffix(c.tokens[0], ">"))
	c.tokens = c.tokens[1:]
	return []op{o}
}

// field reads one field; false if this version does not have it.
func (c *compiler) field(name, kind string) (o op, ok bool) {
	o.name = name
	switch suffix := ""; kind {
	case "[", "{":
		o.kind = opArray
		closing := "]"
		if kind == "{" {
			o.kind, closing = opStruct, "}"
		}
		o.body = c.structure(closing)
		suffix = c.end
		ok = c.suffix(&o, suffix)
		o.width = widthOf(o.body, c.flexible)
	default:
		elem, array := strings.CutPrefix(kind, "[]")
		base := strings.TrimRightFunc(elem, func(r rune) bool { return strings.ContainsRune("?:+-0123456789", r) })
		if base == "i" { // the digits belong to the type
			base = elem[:len("i8")]
			if elem[1] != '8' {
				base = elem[:len("i16")]
			}
		}
		ok = c.suffix(&o, elem[len(base):])
		one := primitive(base, name)
		if !array {
			o.kind, o.width = one.kind, one.width
			break
		}
		o.kind, o.body = opArray, []op{one}
		o.width = widthOf(o.body, c.flexible)
	}
	return o, ok
}

func primitive(base, name string) op {
	switch base {
	case "i8":
		return op{kind: opFixed, width: 1, name: name}
	case "i16":
		return op{kind: opFixed, width: 2, name: name}
	case "i32":
		return op{kind: opFixed, width: 4, name: name}
	case "i64":
		return op{kind: opFixed, width: 8, name: name}
	case "uuid":
		return op{kind: opFixed, width: 16, name: name}
	case "string":
		return op{kind: opString, name: name}
	case "bytes":
		return op{kind: opBytes, name: name}
	}
	panic("schema: " + name + " has the unknown type " + base)
}

// suffix reads "?", "?2+", ":3+", ":0-7" and sets null; false if the version is outside.
func (c *compiler) suffix(o *op, s string) bool {
	null, versions, limited := strings.Cut(s, ":")
	if from, ok := strings.CutPrefix(null, "?"); ok {
		o.null = c.within(from)
	}
	return !limited || c.within(versions)
}

// within reads "", "3+" and "0-7".
func (c *compiler) within(s string) bool {
	if s == "" {
		return true
	}
	if from, ok := strings.CutSuffix(s, "+"); ok {
		n, err := strconv.Atoi(from)
		return check(err, s) && c.version >= n
	}
	low, high, _ := strings.Cut(s, "-")
	l, err := strconv.Atoi(low)
	h, err2 := strconv.Atoi(high)
	return check(err, s) && check(err2, s) && c.version >= l && c.version <= h
}

func check(err error, s string) bool {
	if err != nil {
		panic("schema: bad versions " + s)
	}
	return true
}

// widthOf is the smallest number of bytes that ops can take.
func widthOf(ops []op, flexible bool) (n int) {
	for i := range ops {
		switch o := &ops[i]; {
		case o.kind == opFixed:
			n += o.width
		case o.kind == opStruct || o.kind == opTags || flexible:
			n++
		case o.kind == opString:
			n += 2
		default:
			n += 4
		}
	}
	return n
}
