package group

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
)

var rewrite = flag.Bool("rewrite", false, "write the conversations in testdata anew; then read the diff")

// TestConversations plays the files of testdata: events, a line ----, and what comes of
// them. The head of each file is the sentence it proves; talk.go's verbs are in play.
func TestConversations(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) == 0 {
		t.Fatal("no conversations")
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got := playFile(t, string(text))
			if *rewrite {
				if err := os.WriteFile(f, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("%s goes otherwise now; -rewrite and read the diff. It went:\n%s", f, got)
			}
		})
	}
}

// talker plays one file.
type talker struct {
	*world
	names map[string]string // member ids to short names
	ids   map[string]string // and back
}

func playFile(t *testing.T, text string) string {
	p := &talker{world: newWorld(t, Options{InitialRebalanceDelay: DefaultInitialRebalanceDelay}), names: map[string]string{}, ids: map[string]string{}}
	var result strings.Builder
	skipping := false
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case line == "----":
			result.WriteString("----\n" + p.heard())
			skipping = true
		case line == "":
			result.WriteString("\n")
			skipping = false
		case skipping:
		case strings.HasPrefix(line, "#"):
			result.WriteString(line + "\n")
		default:
			result.WriteString(line + "\n")
			p.play(line)
		}
	}
	return result.String()
}

var uuid = regexp.MustCompile(`^(.*)-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// name shortens a member id: the first one of client c1 is c1/1.
func (p *talker) name(id string) string {
	if n := p.names[id]; n != "" {
		return n
	}
	m := uuid.FindStringSubmatch(id)
	if m == nil {
		return id
	}
	for i := 1; ; i++ {
		n := m[1] + "/" + strconv.Itoa(i)
		if p.ids[n] == "" {
			p.names[id], p.ids[n] = n, id
			return n
		}
	}
}

func (p *talker) id(name string) string {
	if id := p.ids[name]; id != "" {
		return id
	}
	return name
}

// heard is what has come of the events since it was last asked.
func (p *talker) heard() string {
	var b strings.Builder
	for _, l := range p.written {
		for _, s := range describeBatch(p, l.batch) {
			fmt.Fprintf(&b, "log: %s\n", s)
		}
	}
	for _, to := range p.trimmed {
		fmt.Fprintf(&b, "log: trimmed below %d\n", to)
	}
	for i := range p.answers {
		a := &p.answers[i]
		fmt.Fprintf(&b, "%s <- %s\n", a.who, p.describeAnswer(a))
	}
	if n := len(p.queue); n > 0 {
		fmt.Fprintf(&b, "log: %d not durable\n", n)
	}
	p.written, p.trimmed, p.answers = nil, nil, nil
	if b.Len() == 0 {
		return "(nothing)\n"
	}
	return b.String()
}

// words are the arguments of an event.
type words struct {
	t     *testing.T
	verb  string
	who   string
	group string
	args  map[string]string
	rest  []string
}

func (w words) str(key, def string) string {
	if v, ok := w.args[key]; ok {
		return v
	}
	return def
}

func (w words) ptr(key string) *string {
	if v, ok := w.args[key]; ok {
		return &v
	}
	return nil
}

func (w words) num(key string, def int64) int64 {
	v, ok := w.args[key]
	if !ok {
		return def
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w words) ms(key string, def time.Duration) int32 {
	if v, ok := w.args[key]; ok {
		d, err := time.ParseDuration(v)
		if err != nil {
			w.t.Fatal(err)
		}
		def = d
	}
	return int32(def.Milliseconds())
}

// parse reads "who verb group word key=value …".
func (p *talker) parse(line string) words {
	f := strings.Fields(line)
	w := words{t: p.t, args: map[string]string{}}
	if len(f) < 2 {
		p.t.Fatalf("not an event: %q", line)
	}
	w.who, w.verb = f[0], f[1]
	for _, s := range f[2:] {
		if k, v, ok := strings.Cut(s, "="); ok && !strings.Contains(k, ":") {
			w.args[k] = v
		} else if w.group == "" {
			w.group = s
		} else {
			w.rest = append(w.rest, s)
		}
	}
	return w
}

func (p *talker) play(line string) {
	defer p.learn()
	if name, arg, _ := strings.Cut(line, " "); p.control(name, arg) {
		return
	}
	w := p.parse(line)
	req := p.request(w)
	if req == nil {
		p.t.Fatalf("what is %q?", line)
	}
	req.SetVersion(int16(w.num("v", int64(req.MaxVersion()))))
	p.ask(w.who, req)
}

// learn names the members that there are now, so that the next event can speak of them.
func (p *talker) learn() {
	for _, g := range p.c.list {
		for _, m := range g.members {
			p.name(m.id)
		}
	}
	for i := range p.answers {
		if a := &p.answers[i]; a.key == keyJoinGroup && a.code == core.OK {
			p.name(p.decodeAnswer(a).(*kmsg.JoinGroupResponse).MemberID)
		}
	}
}

// control plays what is not a request.
func (p *talker) control(verb, arg string) bool {
	switch verb {
	case "advance":
		d, err := time.ParseDuration(arg)
		if err != nil {
			p.t.Fatal(err)
		}
		p.advance(d)
	case "hold":
		p.hold = true
	case "release":
		p.hold = false
		p.release()
	case "refuse":
		p.hold = false
		p.fail(core.Refused, map[string]core.Code{"disk-full": core.ErrDiskFull, "storage": core.ErrStorage, "busy": core.ErrBusy, "too-large": core.ErrTooLarge}[arg])
		p.release()
	case "lose":
		p.hold = false
		p.fail(core.Unknown, core.ErrStorage)
		p.release()
	case "restart":
		p.boot(nil)
	case "restart-from-snapshot":
		p.boot(p.c.Snapshot(nil))
	case "create-topic":
		p.createTopic(arg)
	case "delete-topic":
		p.deleteTopic(arg)
	case "option":
		p.setOption(arg)
	default:
		return false
	}
	return true
}

func (p *talker) setOption(arg string) {
	k, v, _ := strings.Cut(arg, "=")
	n, _ := strconv.Atoi(v)
	d, _ := time.ParseDuration(v)
	switch k {
	case "delay":
		p.opt.InitialRebalanceDelay = d
	case "members":
		p.opt.MembersMax = n
	case "promised":
		p.opt.PromisedMax = n
	case "bytes":
		p.opt.MemberBytesMax = n
	case "groups":
		p.opt.GroupsMax = n
	default:
		p.t.Fatalf("no option %q", k)
	}
	p.boot(nil)
}

func describeBatch(p *talker, b []byte) []string {
	var lines []string
	f := newFold()
	f.apply(b)
	if f.foreign > 0 {
		p.t.Fatal("a batch that the fold does not understand")
	}
	visit(p.t, b, func(key, value []byte) { lines = append(lines, p.describeRecord(key, value)) })
	return lines
}

func (p *talker) describeRecord(key, value []byte) string {
	if keyVersion(key) == groupKeyVersion {
		var k kmsg.GroupMetadataKey
		k.ReadFrom(key)
		if value == nil {
			return "group " + k.Group + " is no more"
		}
		v, err := readGroupValue(value)
		if err != nil {
			p.t.Fatal(err)
		}
		s := fmt.Sprintf("group %s gen=%d", k.Group, v.Generation)
		for _, m := range v.Members {
			s += fmt.Sprintf(" %s:%q", p.name(m.MemberID), m.Assignment)
		}
		return s
	}
	var k kmsg.OffsetCommitKey
	k.ReadFrom(key)
	if value == nil {
		return fmt.Sprintf("offset %s %s:%d is no more", k.Group, k.Topic, k.Partition)
	}
	c, err := readCommitted(value)
	if err != nil {
		p.t.Fatal(err)
	}
	return fmt.Sprintf("offset %s %s:%d=%d", k.Group, k.Topic, k.Partition, c.offset)
}

func cut(s, sep string) (string, string) {
	a, b, _ := strings.Cut(s, sep)
	return a, b
}

func quoted(b []byte) string {
	if len(b) > 40 {
		return fmt.Sprintf("(%d bytes)", len(b))
	}
	if bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Sprintf("%x", b)
	}
	return string(b)
}
