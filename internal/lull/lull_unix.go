//go:build unix

package lull

import (
	"os"
	"sync"
	"syscall"
	"time"
)

// A bell is a pipe: what is written to it arrives when the runtime looks.
type bell struct {
	in, out *os.File // kept, or they would be closed
	raw     syscall.RawConn
}

// hang is nil where there is no descriptor left.
var hang = sync.OnceValue(func() *bell {
	out, in, err := os.Pipe()
	if err != nil {
		return nil
	}
	raw, err := out.SyscallConn()
	if err != nil {
		return nil
	}
	return &bell{in: in, out: out, raw: raw}
})

// Prepare takes the two descriptors that [Wait] needs, for as long as the
// process lives. Without it the first Wait does.
func Prepare() { hang() }

// look rings and waits for the sound. Its caller has the lock.
func look() {
	b := hang()
	if b == nil {
		rest()
		return
	}
	b.out.SetReadDeadline(time.Now().Add(longest))
	rung := false
	b.raw.Read(func(fd uintptr) bool {
		if rung {
			var p [16]byte
			syscall.Read(int(fd), p[:])
			return true
		}
		rung = true
		b.in.Write([]byte{1}) // what is there after a look that did not come is read with the next
		return false          // although there is something: only the poller is to say so
	})
}
