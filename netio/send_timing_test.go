package netio

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
)

// What it costs the sending thread (cpu-ns/op) to answer with a header of 100 bytes and n
// bytes of a file: read and one sendmsg (copy), MSG_MORE and sendfile (file), or one
// sendmsg by reference of memory (mem). It is where fileCopyMax comes from.
func BenchmarkSend(b *testing.B) {
	for _, size := range []int{1 << 10, 4 << 10, 16 << 10, 32 << 10, 64 << 10, 256 << 10} {
		for _, way := range []string{"copy", "file", "mem"} {
			b.Run(fmt.Sprintf("%s/%dKiB", way, size>>10), func(b *testing.B) { benchSend(b, way, size) })
		}
	}
}

func benchSend(b *testing.B, way string, size int) {
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	mem := make([]byte, 4<<20)
	if _, err := f.Write(mem); err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go takeAnswers(ln.Addr().String(), 100+size)
	c, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	osf, err := c.(*net.TCPConn).File() // blocking
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = osf.Close() }()
	fd := int(osf.Fd())
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var l Loop
	head, buf, one := make([]byte, 100), make([]byte, size), make([]byte, 1)
	var before, after unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_THREAD, &before)
	i := 0
	for b.Loop() {
		pos := int64(i * size % (len(mem) - size))
		i++
		l.iov[0].Base = &head[0]
		l.iov[0].SetLen(len(head))
		switch way {
		case "copy":
			_, _ = unix.Pread(int(f.Fd()), buf, pos)
			benchRuns(b, &l, fd, buf)
		case "mem":
			benchRuns(b, &l, fd, mem[pos:int(pos)+size])
		case "file":
			if _, err := l.sendmsg(fd, 1, unix.MSG_MORE); err != nil {
				b.Fatal(err)
			}
			for left := size; left > 0; {
				n, err := unix.Sendfile(fd, int(f.Fd()), &pos, left)
				if err != nil {
					b.Fatal(err)
				}
				left -= n
			}
		}
		_, _ = unix.Read(fd, one)
	}
	_ = unix.Getrusage(unix.RUSAGE_THREAD, &after)
	cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(cpu)/float64(b.N), "cpu-ns/op")
}

// takeAnswers reads answers of n bytes and asks for the next with one byte each.
func takeAnswers(addr string, n int) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	buf := make([]byte, n)
	for {
		if _, err := io.ReadFull(c, buf); err != nil {
			return
		}
		_, _ = c.Write(buf[:1])
	}
}

func benchRuns(b *testing.B, l *Loop, fd int, p []byte) {
	l.iov[1].Base = &p[0]
	l.iov[1].SetLen(len(p))
	if n, err := l.sendmsg(fd, 2, 0); err != nil || n != 100+len(p) {
		b.Fatal(n, err)
	}
}

// BenchmarkTurn is one frame of 105 bytes there and back, with its end of turn.
func BenchmarkTurn(b *testing.B) {
	s := benchServer(b)
	c, err := net.Dial("tcp", s.ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ask, buf := frame(opEcho, make([]byte, 100)...), make([]byte, 105)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.Write(ask)
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRing is a loop that rings itself in each Wake: a ring, a wake and a turn.
func BenchmarkRing(b *testing.B) {
	s := benchServer(b)
	left, done := b.N, make(chan struct{})
	s.l.Do(func() {
		s.work = func() {
			s.wakeAt = s.wakeAt[:0]
			if left--; left > 0 {
				s.l.Ring()
			} else {
				close(done)
			}
		}
		s.l.Ring()
	})
	<-done
}

func benchServer(b *testing.B) *server {
	b.Helper()
	s := &server{conns: map[core.ConnID]bool{}}
	var err error
	if s.l, err = NewLoop(Config{}); err != nil {
		b.Fatal(err)
	}
	if err := s.l.Start(s); err != nil {
		b.Fatal(err)
	}
	if s.ln, err = Listen("127.0.0.1:0", 0, func() *Loop { return s.l }, NewLimit(10)); err != nil {
		b.Fatal(err)
	}
	s.ln.Start()
	b.Cleanup(func() { _, _ = s.ln.Close(), s.l.Stop() })
	return s
}
