package records

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// input is a record as it was read, and where it began.
type input struct {
	record *kgo.Record
	placed bool // the record names its partition
	where  where
}

// where is the place of a record in what is read.
type where struct {
	file string // "" for stdin
	line int64  // 0 for a file that is one record
}

func (w where) String() string {
	switch {
	case w.line == 0:
		return w.file
	case w.file == "":
		return "line " + strconv.FormatInt(w.line, 10)
	}
	return w.file + ":" + strconv.FormatInt(w.line, 10)
}

// source gives records, one after the other, and io.EOF after the last. With another
// error, input.where says where it was met.
type source interface {
	next() (input, error)
}

// recordMax is the longest record that is read, beyond what any broker takes.
const recordMax = 1 << 30

// cutting says how input is cut into records.
type cutting struct {
	format   string // as kgo's reader takes it, "" for delimited records
	has      map[byte]bool
	json     bool
	delim    []byte // between records
	keyDelim []byte // between key and value, nil for none
}

// open makes the source for one stream.
func (c *cutting) open(r io.Reader, file string) (source, error) {
	if c.format != "" {
		lines := &lineCounter{r: r, line: 1}
		buffered := bufio.NewReaderSize(lines, 1<<16)
		reader, err := kgo.NewRecordReader(buffered, c.format) // reads out of buffered itself
		if err != nil {
			return nil, cli.Usage("the format %q: %w; penstock help formats", c.format, err)
		}
		return &formatSource{cutting: c, reader: reader, buffered: buffered, lines: lines, file: file}, nil
	}
	s := &delimSource{cutting: c, scanner: bufio.NewScanner(r), at: where{file, 1}, objects: newJSONReader()}
	s.scanner.Buffer(make([]byte, 1<<18), recordMax)
	s.scanner.Split(splitAt(c.delim))
	s.breaks = int64(bytes.Count(c.delim, []byte{'\n'}))
	return s, nil
}

// splitAt cuts at a delimiter. What stands behind the last one is a record too.
func splitAt(delim []byte) bufio.SplitFunc {
	return func(b []byte, atEOF bool) (advance int, token []byte, err error) {
		if i := bytes.Index(b, delim); i >= 0 {
			return i + len(delim), b[:i], nil
		}
		if atEOF && len(b) > 0 {
			return len(b), b, nil
		}
		return 0, nil, nil
	}
}

// delimSource reads records with a delimiter between them: lines, or JSON objects.
type delimSource struct {
	*cutting
	scanner *bufio.Scanner
	at      where // of the next record
	breaks  int64 // line ends in the delimiter
	slab    []byte
	objects *jsonReader
}

func (s *delimSource) next() (in input, err error) {
	in.where = s.at
	if !s.scanner.Scan() {
		if err := s.scanner.Err(); errors.Is(err, bufio.ErrTooLong) {
			return in, fmt.Errorf("the record is longer than 1 GiB; is the delimiter right (-D)?")
		} else if err != nil {
			return in, err
		}
		return in, io.EOF
	}
	b := s.scanner.Bytes()
	if s.at.line += s.breaks; s.breaks == 0 || len(s.delim) > 1 {
		s.at.line += int64(bytes.Count(b, []byte{'\n'}))
	}
	if s.json {
		if len(bytes.TrimSpace(b)) == 0 {
			return s.next()
		}
		in.record, in.placed, err = s.objects.record(b)
		return in, err
	}
	in.record = &kgo.Record{}
	b = s.keep(b)
	if s.keyDelim != nil {
		if k, v, ok := bytes.Cut(b, s.keyDelim); ok {
			in.record.Key, b = k, v
		}
	}
	in.record.Value = b
	return in, nil
}

// keep copies bytes out of the scanner's buffer. Many small records share one allocation,
// which lives as long as one of them is not acknowledged.
func (s *delimSource) keep(b []byte) []byte {
	const slabSize = 1 << 16
	if len(b) > slabSize/4 {
		return bytes.Clone(b)
	}
	if len(s.slab)+len(b) > cap(s.slab) {
		s.slab = make([]byte, 0, slabSize)
	}
	at := len(s.slab)
	s.slab = append(s.slab, b...)
	return s.slab[at:len(s.slab):len(s.slab)]
}

// formatSource reads records as a format says.
type formatSource struct {
	*cutting
	reader   *kgo.RecordReader
	buffered *bufio.Reader
	lines    *lineCounter
	file     string
}

func (s *formatSource) next() (in input, err error) {
	in.where = where{s.file, s.lines.at(s.buffered.Buffered())}
	in.record = new(kgo.Record)
	if err := s.reader.ReadRecordInto(in.record); err == io.ErrUnexpectedEOF {
		return in, fmt.Errorf("the input ends in the middle of a record, as the format %q has it", s.format)
	} else if err == io.EOF {
		return in, err
	} else if err != nil {
		return in, fmt.Errorf("the record does not fit the format %q: %w", s.format, err)
	}
	if s.has['k'] && in.record.Key == nil { // kgo reads what is empty as null
		in.record.Key = []byte{}
	}
	if in.record.Value == nil {
		in.record.Value = []byte{}
	}
	for i := range in.record.Headers {
		if h := &in.record.Headers[i]; h.Value == nil {
			h.Value = []byte{}
		}
	}
	in.placed = s.has['p']
	return in, nil
}

// lineCounter knows in which line a reader behind a buffer is: it keeps the positions of
// the line ends that were read and are not behind it yet.
type lineCounter struct {
	r    io.Reader
	read int64
	line int64
	ends []int64
}

func (l *lineCounter) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	for from := 0; ; {
		i := bytes.IndexByte(b[from:n], '\n')
		if i < 0 {
			break
		}
		l.ends = append(l.ends, l.read+int64(from+i))
		from += i + 1
	}
	l.read += int64(n)
	return n, err
}

// at is the line of the next byte, of which so many are buffered.
func (l *lineCounter) at(buffered int) int64 {
	pos, i := l.read-int64(buffered), 0
	for i < len(l.ends) && l.ends[i] < pos {
		i++
	}
	l.line += int64(i)
	l.ends = l.ends[i:]
	return l.line
}

// whole is a file that is one record.
type whole struct {
	where where
	value []byte
	done  bool
}

func (s *whole) next() (input, error) {
	in := input{record: &kgo.Record{Value: s.value}, where: s.where}
	if s.done {
		return in, io.EOF
	}
	s.done = true
	return in, nil
}

// files gives the records of several files in their order; - is stdin.
type files struct {
	cut   *cutting // nil where each file is one record
	paths []string
	stdin io.Reader
	now   source
	open  *os.File
}

func (s *files) next() (input, error) {
	for {
		if s.now == nil {
			if len(s.paths) == 0 {
				return input{}, io.EOF
			}
			if err := s.begin(s.paths[0]); err != nil {
				return input{where: where{file: s.paths[0]}}, err
			}
			s.paths = s.paths[1:]
		}
		in, err := s.now.next()
		if err != io.EOF {
			return in, err
		}
		if s.now = nil; s.open != nil {
			_ = s.open.Close() // it was only read
			s.open = nil
		}
	}
}

func (s *files) begin(path string) (err error) {
	from, name := s.stdin, ""
	if path != "-" {
		if s.open, err = os.Open(path); err != nil {
			return err
		}
		from, name = s.open, path
	}
	if s.cut != nil {
		s.now, err = s.cut.open(from, name)
		return err
	}
	b, err := io.ReadAll(from)
	if err == nil {
		s.now = &whole{where: where{file: path}, value: b}
	}
	return err
}
