//go:build unix

package lull

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"time"
)

// A wire is a pipe: what is written to it arrives when the runtime looks.
type wire struct {
	gone    bool
	in, out *os.File // nil as long as there is no descriptor left
	raw     syscall.RawConn
	unread  [512]byte // looks that did not come in time have left something
}

func (w *wire) hang() {
	if w.gone || w.out != nil {
		return
	}
	out, in, err := os.Pipe()
	if err != nil {
		return
	}
	if w.raw, err = out.SyscallConn(); err != nil {
		_ = in.Close()
		_ = out.Close()
		return
	}
	w.in, w.out = in, out
}

func (w *wire) cut() {
	w.gone = true
	if w.out != nil {
		_ = errors.Join(w.in.Close(), w.out.Close()) // nobody waits for what was in it
		w.in, w.out = nil, nil
	}
}

func (w *wire) look() {
	w.hang()
	if w.out == nil {
		runtime.Gosched()
		return
	}
	_ = w.out.SetReadDeadline(time.Now().Add(longest)) // a pipe has deadlines
	rung := false
	_ = w.raw.Read(func(fd uintptr) bool { // its error is the deadline's
		if rung {
			_, _ = syscall.Read(int(fd), w.unread[:])
			return true
		}
		rung = true
		_, _ = w.in.Write([]byte{1}) // after a look that did not come, it is read with the next
		return false                 // although there is something: only the poller is to say so
	})
}
