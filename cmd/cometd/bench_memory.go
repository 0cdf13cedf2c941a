package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// A memoryWatch notes the most memory that a process has.
type memoryWatch struct {
	pid   int
	most  int64
	stop  chan struct{}
	ended chan struct{}
}

// watchMemory looks at a process until end; pid 0 is none.
func watchMemory(pid int) *memoryWatch {
	if pid == 0 {
		return nil
	}
	w := &memoryWatch{pid: pid, stop: make(chan struct{}), ended: make(chan struct{})}
	go w.run()
	return w
}

func (w *memoryWatch) run() {
	defer close(w.ended)
	const often = 100 * time.Millisecond
	tick := time.NewTicker(often)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-tick.C:
		case <-w.stop:
			ended = true
		}
		now, _ := resident(w.pid) // of a process that is gone: 0
		w.most = max(w.most, now)
	}
}

// end returns the most there was, in bytes.
func (w *memoryWatch) end() int64 {
	if w == nil {
		return 0
	}
	close(w.stop)
	<-w.ended
	return w.most
}

// resident is what a process has of the machine's memory, in bytes. Only Linux
// tells.
func resident(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(status), "\nVmRSS:")
	kib, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	n, err := strconv.ParseInt(kib, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("/proc/%d/status has no VmRSS: %w", pid, err)
	}
	return n << 10, nil
}

// mebibytes prints with one decimal.
func mebibytes(bytes int64) string { return fmt.Sprintf("%.1fMiB", float64(bytes)/(1<<20)) }
