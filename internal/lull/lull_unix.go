//go:build unix

package lull

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"time"
)

// A pipe is read when the poller says that it can be.
type pipe struct {
	closed  bool
	in, out *os.File // nil as long as there is no descriptor left
	raw     syscall.RawConn
	unread  [512]byte // of polls that did not come in time
}

func (p *pipe) open() {
	if p.closed || p.out != nil {
		return
	}
	out, in, err := os.Pipe()
	if err != nil {
		return
	}
	if p.raw, err = out.SyscallConn(); err != nil {
		_ = in.Close()
		_ = out.Close()
		return
	}
	p.in, p.out = in, out
}

func (p *pipe) close() {
	p.closed = true
	if p.out != nil {
		_ = errors.Join(p.in.Close(), p.out.Close()) // nobody waits for what was in it
		p.in, p.out = nil, nil
	}
}

func (p *pipe) wait() {
	p.open()
	if p.out == nil {
		runtime.Gosched()
		return
	}
	_ = p.out.SetReadDeadline(time.Now().Add(longest)) // a pipe has deadlines
	written := false
	_ = p.raw.Read(func(fd uintptr) bool { // its error is the deadline's
		if written {
			_, _ = syscall.Read(int(fd), p.unread[:])
			return true
		}
		written = true
		_, _ = p.in.Write([]byte{1}) // if no poll comes in time, it is read with the next
		return false                 // although there is something: only the poller is to say so
	})
}
