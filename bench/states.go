package bench

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/bench/load"
)

// file makes a file of n bytes beside the broker's data.
func (b *bench) file(n int) (string, error) {
	path := filepath.Join(b.dir, "floor")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for ; n > 0; n -= len(block) {
		if _, err := f.Write(block); err != nil {
			return "", err
		}
	}
	return path, nil
}

// commitLatency is how long an acknowledgement of a synced topic takes at a fixed rate,
// by how many partitions are dirty at once.
func (b *bench) commitLatency() error {
	if err := b.serve(); err != nil {
		return err
	}
	for _, partitions := range []int{1, 100, 1000} {
		var p50, p99, p999 []float64
		for range b.Rounds {
			p := load.Produce{Shape: b.shape("", 4, 1000), Partitions: partitions, Acks: -1, RecordSize: 900, BatchSize: 1000, Random: true}
			p.Rate = 4000
			s, err := b.produceTo(p, "synced")
			if err != nil {
				return err
			}
			ms := func(q float64) float64 { return float64(s.Latency.ValueAtQuantile(q)) / 1e6 }
			p50, p99, p999 = append(p50, ms(50)), append(p99, ms(99)), append(p999, ms(99.9))
		}
		name := fmt.Sprintf("commit latency, 4,000 batches of 1 KiB a second over %d partitions", partitions)
		b.row(Row{Name: name + ", p50", Unit: "ms"}, p50...)
		b.row(Row{Name: name + ", p99", Unit: "ms"}, p99...)
		b.row(Row{Name: name + ", p99.9", Unit: "ms"}, p999...)
	}
	return nil
}

// steady counts garbage collections under a steady load.
func (b *bench) steady() error {
	if err := b.serve(); err != nil {
		return err
	}
	_, before := b.broker.collector()
	p := load.Produce{Shape: load.Shape{Conns: 4, Depth: 16, Rate: 4000, Warmup: time.Second, Duration: max(10*time.Second, b.Duration)}, Partitions: 16, Acks: -1,
		RecordSize: recordSize, BatchSize: 16 << 10}
	s, err := b.produceTo(p, "synced")
	if err != nil {
		return err
	}
	_, after := b.broker.collector()
	b.row(Row{Name: "4,000 synced produces of 16 KiB a second: garbage collections", Unit: "in 10 s", Good: 1, Note: "the warm-up counts"}, float64(after-before)/s.Elapsed.Seconds()*10)
	b.row(Row{Name: "the same: latency p99", Unit: "ms"}, float64(s.Latency.ValueAtQuantile(99))/1e6)
	b.row(Row{Name: "the same: resident heap", Unit: "MB"}, float64(s.Anon)/1e6)
	return nil
}

// coldReads is about the stops of the world while what is fetched comes from the disk
// and a produce goes on. The broker makes no garbage of its own under load: for there to
// be stops to measure, its status is asked for all the time, and the collector runs as
// often as it can.
func (b *bench) coldReads() error {
	if err := b.serve("GOGC=1"); err != nil {
		return err
	}
	f, err := b.fill(4, 64<<10, 4<<30, "os")
	if err != nil {
		return err
	}
	if err := evict(b.dir); err != nil {
		return err
	}
	seen, _ := b.broker.collector()
	d := max(10*time.Second, b.Duration)
	produced := make(chan error, 1)
	topic, err := b.topic(16, "synced")
	if err != nil {
		return err
	}
	var during load.Stats
	go func() {
		p := load.Produce{Shape: load.Shape{Addr: b.addr, Conns: 2, Depth: 64, Rate: 2000, Duration: d}, Topic: topic, Partitions: 16, Acks: -1, RecordSize: recordSize, BatchSize: 16 << 10}
		var err error
		during, err = p.Run()
		produced <- err
	}()
	stop := b.askStatus()
	f.Shape, f.MaxBytes = load.Shape{Addr: b.addr, Conns: 2, Depth: 2, Rate: 400, Duration: d}, 1<<20
	s, err := f.Run()
	stop()
	if err := <-produced; err != nil {
		return err
	}
	if err != nil {
		return err
	}
	ms := func(h *hdrhistogram.Histogram) float64 { return float64(h.ValueAtQuantile(99)) / 1e6 }
	b.row(Row{Name: "400 fetches of 1 MiB a second from the disk: latency p99", Unit: "ms"}, ms(s.Latency))
	b.row(Row{Name: "2,000 synced produces of 16 KiB a second meanwhile: latency p99", Unit: "ms"}, ms(during.Latency))
	pauses, _ := b.broker.collector()
	pauses = pauses[len(seen):]
	note := fmt.Sprintf("%d stops in %v with GOGC=1; %.1f GB read", len(pauses), d, float64(s.Bytes)/1e9)
	slices.Sort(pauses)
	at := func(q float64) float64 {
		if len(pauses) == 0 {
			return 0
		}
		return pauses[int(q*float64(len(pauses)-1))]
	}
	b.row(Row{Name: "stops of the world under load with cold reads, p99", Unit: "ms", Good: 1, Alarm: 2, Note: note}, at(0.99))
	b.row(Row{Name: "stops of the world under load with cold reads, p99.9", Unit: "ms", Note: note}, at(0.999))
	return nil
}

// askStatus asks the admin port for the status, again and again, until stop is called.
func (b *bench) askStatus() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
			if r, err := http.Get("http://" + b.adminAddr + "/v1/status"); err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
				_ = r.Body.Close()
			}
		}
	}()
	return func() { close(done); <-ended }
}

// evict takes the segments below dir out of the page cache.
func evict(dir string) error {
	unix.Sync()
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".log") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}

// slowReaders asks for 8 MiB on each of 100 connections, and reads nothing.
func (b *bench) slowReaders() error {
	if err := b.serve(); err != nil {
		return err
	}
	f, err := b.fill(4, 64<<10, 512<<20, "os")
	if err != nil {
		return err
	}
	before := b.broker.usage().Anon
	f.Shape, f.MaxBytes = load.Shape{Addr: b.addr, Conns: 100, Depth: 1}, 8<<20
	if err := f.Ignore(3*time.Second, func() { _ = b.admin.Ready() }); err != nil {
		return err
	}
	after := b.broker.usage().Anon
	b.row(Row{Name: "100 readers that ask for 8 MiB and never read: resident heap", Unit: "MB", Good: 64, Note: fmt.Sprintf("%.1f before", float64(before)/1e6)}, float64(after)/1e6)
	return nil
}

// idle is the CPU that a broker uses that nobody asks anything.
func (b *bench) idle() error {
	if err := b.serve(); err != nil {
		return err
	}
	time.Sleep(time.Second)
	before := b.broker.usage()
	time.Sleep(5 * time.Second)
	after := b.broker.usage()
	b.row(Row{Name: "idle, with one connection", Unit: "% of a CPU", Good: 0.5, Note: "0 is meant; timers are allowed this much"}, (after.CPU-before.CPU)/after.at.Sub(before.at).Seconds()*100)
	b.row(Row{Name: "resident heap at rest", Unit: "MB"}, float64(after.Anon)/1e6)
	return nil
}

// startAfterKill is how long a start takes with 10 GB in 1,000 partitions after SIGKILL
// under load.
func (b *bench) startAfterKill() error {
	if err := b.serve(); err != nil {
		return err
	}
	f, err := b.fill(1000, 64<<10, 10_000_000_000, "synced")
	if err != nil {
		return err
	}
	for range min(b.Rounds, 3) {
		p := load.Produce{Shape: b.shape(b.addr, 4, 64), Topic: f.Topic, Partitions: 1000, Acks: -1, RecordSize: recordSize, BatchSize: 16 << 10}
		p.Duration = 3 * time.Second
		p.Rate = 4000
		ended := make(chan struct{})
		go func() { defer close(ended); _, _ = p.Run() }() // it fails: the broker goes away
		time.Sleep(2 * time.Second)
		b.endBroker(true)
		<-ended
		began := time.Now()
		if err := b.serve(); err != nil {
			return err
		}
		b.starts = append(b.starts, time.Since(began).Seconds())
	}
	b.row(Row{Name: "start after SIGKILL under load, 10 GB in 1,000 partitions", Unit: "s", Good: 2}, b.starts...)
	return nil
}
