//go:build linux

package main

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// usage is what has been used so far, in µs of CPU.
type usage struct {
	cpu          int64 // by the server, to the nanosecond
	user, system int64 // its parts, to the kernel's tick
	core, steal  int64 // of the server's core, by whoever
	self         int64 // by this client
	rss          int64 // KiB of the server
}

const tick = 10000 // µs of the kernel's clock, USER_HZ

// usage reads it; the server's is 0 without -pid. What cannot be read is an error:
// a server that seems to use nothing would be the best of all.
func (l *load) usage() (u usage, err error) {
	if l.pid > 0 {
		if err := u.process(l.pid); err != nil {
			return u, fmt.Errorf("-pid %d: %w", l.pid, err)
		}
	}
	if err := u.processor(l.cpu); err != nil {
		return u, fmt.Errorf("-cpu %d: %w", l.cpu, err)
	}
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return u, fmt.Errorf("getrusage: %w", err)
	}
	u.self = (own.Utime.Nano() + own.Stime.Nano()) / 1000
	return u, nil
}

func (u *usage) process(pid int) (err error) {
	if u.cpu, err = processClock(pid); err != nil {
		return err
	}
	folder := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(folder + "/stat")
	if err != nil {
		return err
	}
	_, after, _ := strings.Cut(string(stat), ")") // behind its name
	fields := strings.Fields(after)
	if len(fields) <= 12 {
		return fmt.Errorf("%s/stat is %q", folder, stat)
	}
	u.user, u.system = ticks(fields[11]), ticks(fields[12])
	status, err := os.ReadFile(folder + "/status")
	if err != nil {
		return err
	}
	_, after, ok := strings.Cut(string(status), "VmRSS:")
	if !ok {
		return fmt.Errorf("%s/status has no VmRSS", folder)
	}
	u.rss, err = strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	return err
}

// processClock is the CPU time of all threads of a process, those that have ended
// included, in µs. It is the scheduler's own account, in nanoseconds, which
// /proc/PID/stat tells in ticks of 10 ms.
func processClock(pid int) (int64, error) {
	const scheduler = 2 // CPUCLOCK_SCHED of the kernel's clock ids, see clock_getcpuclockid
	var ts syscall.Timespec
	if _, _, e := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, uintptr(^pid<<3|scheduler), uintptr(unsafe.Pointer(&ts)), 0); e != 0 {
		return 0, fmt.Errorf("clock_gettime: %w", e)
	}
	return ts.Nano() / 1000, nil
}

func (u *usage) processor(core int) error {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(stat)) {
		f := strings.Fields(line)
		if len(f) > 8 && f[0] == "cpu"+strconv.Itoa(core) {
			u.core = ticks(f[1]) + ticks(f[2]) + ticks(f[3]) + ticks(f[6]) + ticks(f[7])
			u.steal = ticks(f[8])
			return nil
		}
	}
	return fmt.Errorf("/proc/stat has no cpu%d", core)
}

func ticks(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n * tick
}

// since is what was used between two readings, per message where it says µs. The
// parts of the server's time are as large as the ticks say, of all that the
// clock says.
func (u usage) since(before usage, messages float64, wall time.Duration) report {
	cpu, user, system := float64(u.cpu-before.cpu), float64(u.user-before.user), float64(u.system-before.system)
	inKernel := system / max(user+system, 1)
	r := report{
		"wall_s":    round(wall.Seconds()),
		"core_us":   round(float64(u.core-before.core) / messages),
		"client_us": round(float64(u.self-before.self) / messages),
		"steal_s":   round(float64(u.steal-before.steal) / 1e6),
	}
	if u.rss > 0 { // there is a process to tell of
		r["cpu_us"] = round(cpu / messages)
		r["user_us"] = round(cpu * (1 - inKernel) / messages)
		r["sys_us"] = round(cpu * inKernel / messages)
		r["busy"] = round(cpu / float64(wall.Microseconds()))
		r["rss_mib"] = u.rss >> 10
	}
	return r
}

func round(f float64) float64 { return math.Round(f*1000) / 1000 }
