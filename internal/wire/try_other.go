//go:build !unix && !js

package wire

import (
	"errors"
	"net"
	"syscall"
)

// bare is nil where a socket cannot be used without blocking.
func bare(net.Conn) syscall.RawConn { return nil }

func tryWrite(syscall.RawConn, []byte) (int, error) { return 0, errors.ErrUnsupported }

func (a *ahead) attempt(uintptr) bool {
	a.err = errors.ErrUnsupported
	return true
}
