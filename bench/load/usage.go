//go:build linux

package main

import (
	"bytes"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what has been used so far, in µs of CPU.
type usage struct {
	user, system int64 // by the server
	core, steal  int64 // of the server's core, by whoever
	self         int64 // by this client
	rss          int64 // KiB of the server
}

const tick = 10000 // µs of the kernel's clock, USER_HZ

// usage reads it. What /proc does not tell is 0.
func (l *load) usage() (u usage) {
	if l.pid > 0 {
		u.process(l.pid)
	}
	u.processor(l.cpu)
	var own syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &own) == nil {
		u.self = (own.Utime.Nano() + own.Stime.Nano()) / 1000
	}
	return u
}

func (u *usage) process(pid int) {
	folder := "/proc/" + strconv.Itoa(pid)
	stat, _ := os.ReadFile(folder + "/stat")
	if fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(fields) > 12 {
		u.user, u.system = ticks(fields[11]), ticks(fields[12])
	}
	status, _ := os.ReadFile(folder + "/status")
	if _, after, ok := strings.Cut(string(status), "VmRSS:"); ok {
		u.rss, _ = strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	}
}

func (u *usage) processor(core int) {
	stat, _ := os.ReadFile("/proc/stat")
	for line := range strings.Lines(string(stat)) {
		f := strings.Fields(line)
		if len(f) > 8 && f[0] == "cpu"+strconv.Itoa(core) {
			u.core = ticks(f[1]) + ticks(f[2]) + ticks(f[3]) + ticks(f[6]) + ticks(f[7])
			u.steal = ticks(f[8])
		}
	}
}

func ticks(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n * tick
}

func (u usage) cpu() int64 { return u.user + u.system }

// since is what was used between two readings, per message where it says µs.
func (u usage) since(before usage, messages float64, wall time.Duration) report {
	per := func(now, then int64) float64 { return round(float64(now-then) / messages) }
	return report{
		"wall_s":    round(wall.Seconds()),
		"cpu_us":    per(u.cpu(), before.cpu()),
		"user_us":   per(u.user, before.user),
		"sys_us":    per(u.system, before.system),
		"core_us":   per(u.core, before.core),
		"client_us": per(u.self, before.self),
		"busy":      round(float64(u.cpu()-before.cpu()) / float64(wall.Microseconds())),
		"steal_s":   round(float64(u.steal-before.steal) / 1e6),
		"rss_mib":   u.rss >> 10,
	}
}

func round(f float64) float64 { return math.Round(f*1000) / 1000 }
