package run

import (
	"bufio"
	"bytes"
	"debug/buildinfo"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/penstock/penstock/perf"
)

// usage is what the kernel has counted for a process.
type usage struct {
	cpu       float64 // seconds
	rss, anon int64
}

// look reads a process's counts; ok is false if it is gone or not ours to see.
func look(pid int) (u usage, ok bool) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	var ns int64
	for _, t := range tasks {
		b, _ := os.ReadFile(t)
		if f := bytes.Fields(b); len(f) > 0 {
			n, _ := strconv.ParseInt(string(f[0]), 10, 64)
			ns += n
		}
	}
	// Threads that ended are counted by the process alone, in ticks.
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, false
	}
	const ticks = 100 // USER_HZ, the same on every architecture of Linux that Go has
	if f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(f) > 12 {
		user, _ := strconv.ParseFloat(f[11], 64)
		sys, _ := strconv.ParseFloat(f[12], 64)
		u.cpu = (user + sys) / ticks
	}
	u.cpu = max(u.cpu, float64(ns)/1e9)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, false
	}
	u.rss, u.anon = kilobytes(status, "VmRSS:"), kilobytes(status, "RssAnon:")
	return u, true
}

func kilobytes(status []byte, name string) int64 {
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			n, _ := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
			return n << 10
		}
	}
	return 0
}

// cpus is the busy and the whole time of each CPU of the machine, in ticks.
func cpus() (busy, all []float64) {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return nil, nil
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		w := strings.Fields(s.Text())
		if len(w) < 6 || !strings.HasPrefix(w[0], "cpu") || w[0] == "cpu" {
			continue
		}
		var sum, idle float64
		for i, v := range w[1:min(len(w), 9)] { // guest time is in user time already
			n, _ := strconv.ParseFloat(v, 64)
			sum += n
			if i == 3 || i == 4 {
				idle += n
			}
		}
		busy, all = append(busy, sum-idle), append(all, sum)
	}
	return busy, all
}

// local says whether an address is of this machine.
func local(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ips, err := net.LookupIP(host)
	if err != nil || len(ips) == 0 {
		return false
	}
	ours, _ := net.InterfaceAddrs()
	for _, ip := range ips {
		found := ip.IsLoopback()
		for _, a := range ours {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip) {
				found = true
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// listener is the process that listens on a port of this machine; 0 if it cannot be seen,
// as it may be another user's or in another container.
func listener(addr string) int {
	_, port, err := net.SplitHostPort(addr)
	n, err2 := strconv.Atoi(port)
	if err != nil || err2 != nil {
		return 0
	}
	inodes := map[string]bool{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, _ := os.ReadFile(file)
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			const listening = "0A"
			if len(f) > 9 && f[3] == listening && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", n)) {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	if len(inodes) == 0 {
		return 0
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && inodes[target] {
			pid, _ := strconv.Atoi(strings.Split(fd, "/")[2])
			return pid
		}
	}
	return 0
}

// software is what a process of this machine runs, as far as its files tell: Apache Kafka
// by the name of the jar that it has open, penstock by what its binary says. ours is our
// own version, for a broker that runs the very same file; "" is not known.
func software(pid int, ours string) string {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		target, _ := os.Readlink(fd)
		if m := kafkaJar.FindStringSubmatch(filepath.Base(target)); m != nil {
			return "Apache Kafka " + m[1]
		}
	}
	path := fmt.Sprintf("/proc/%d/exe", pid)
	exe, err := os.Stat(path)
	self, err2 := os.Stat("/proc/self/exe")
	if err == nil && err2 == nil && os.SameFile(exe, self) {
		return strings.TrimSpace("penstock " + ours)
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil || info.Main.Path != ourModule {
		return ""
	}
	name := "penstock"
	for _, s := range info.Settings {
		if m := linkedVersion.FindStringSubmatch(s.Value); s.Key == "-ldflags" && m != nil {
			name += " " + m[1]
		}
		if s.Key == "vcs.revision" && len(s.Value) >= 8 {
			name += " " + s.Value[:8]
		}
	}
	return name
}

const ourModule = "github.com/penstock/penstock"

var (
	kafkaJar      = regexp.MustCompile(`^kafka_[0-9.]+-([0-9].*)\.jar$`)
	linkedVersion = regexp.MustCompile(`-X main\.version=([^ '"]+)`)
)

// systemCongestion is the congestion control that connections have unless they ask.
func systemCongestion() string {
	b, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	return strings.TrimSpace(string(b))
}

// machine is the fingerprint of this machine, with the congestion control of the load
// and the disk of a broker that runs here as process pid.
func machine(congestion string, pid int) perf.Fingerprint {
	f := perf.LookBroker(pid)
	if f.Congestion = congestion; congestion == "" {
		f.Congestion = systemCongestion()
	}
	return f
}
