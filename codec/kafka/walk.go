package kafka

import "fmt"

// BodyError says where a request body is not what its version prescribes.
type BodyError struct {
	Key, Version int16
	Pos          int    // in the body
	Field        string // the innermost field that was being read
}

func (e *BodyError) Error() string {
	return fmt.Sprintf("malformed request: key %d version %d: %s at byte %d of the body", e.Key, e.Version, e.Field, e.Pos)
}

// Unwrap makes it an ErrMalformed.
func (e *BodyError) Unwrap() error { return ErrMalformed }

// CheckBody walks a request body and says whether every string, array and tag section
// in it lies within its bytes, so that a decoder of kmsg can be let loose on it. Null
// where the protocol forbids it is refused, as Kafka does; what follows the last field
// is ignored, as Kafka does. Its work is bounded by the length of the body and by
// elementsMax; it allocates nothing unless it refuses.
//
// A version that is not served is ErrUnserved.
func CheckBody(key, version int16, body []byte) error {
	api := Lookup(key)
	if api == nil || !api.Serves(version) {
		return ErrUnserved
	}
	w := walker{reader: reader{b: body}, flexible: version >= api.Flexible}
	if w.walk(api.programs[version-api.Min]) {
		return nil
	}
	return &BodyError{Key: key, Version: version, Pos: w.pos, Field: w.field}
}

type walker struct {
	reader
	flexible bool
	pos      int    // where it went wrong
	field    string // and in what
}

// walk takes one structure; false if it is not there.
func (w *walker) walk(ops []op) bool {
	for i := range ops {
		o := &ops[i]
		pos := w.at
		ok := true
		switch o.kind {
		case opFixed:
			w.skip(o.width)
		case opString:
			w.string(w.flexible, o.null)
		case opBytes:
			w.bytes(w.flexible, o.null)
		case opArray:
			ok = w.array(o)
		case opStruct:
			ok = w.present(o)
		case opTags:
			ok = w.section(o.body)
		}
		if w.bad && ok {
			w.pos, w.field, ok = pos, o.name, false
		}
		if !ok {
			return false
		}
	}
	return true
}

// array walks the elements. That they can fit is checked before the first.
func (w *walker) array(o *op) bool {
	n := w.length(w.flexible)
	if n == -1 && o.null && !w.bad {
		return true
	}
	if n = w.fits(n, o.width); w.bad {
		return true // walk names the field
	}
	if len(o.body) == 1 && o.body[0].kind == opFixed {
		w.skip(n * o.width)
		return true
	}
	for ; n > 0; n-- {
		if !w.walk(o.body) {
			return false
		}
	}
	return true
}

// present walks a struct that may be null: -1, or 1 and the struct.
func (w *walker) present(o *op) bool {
	switch w.int8() {
	case -1:
	case 1:
		return w.walk(o.body)
	default:
		w.fail()
	}
	return true
}

// section walks a tag section. A tag that we know must hold its fields.
func (w *walker) section(known []op) bool {
	for n := w.uvarint(); n > 0 && !w.bad; n-- {
		tag, end := w.tag()
		for i := range known {
			if known[i].width == int(tag) && !w.bad && !w.walk(known[i].body) {
				return false
			}
		}
		w.skipTo(end)
	}
	return true
}
