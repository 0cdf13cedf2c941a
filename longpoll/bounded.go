package longpoll

import (
	"io"
	"math"

	"github.com/gocometd/cometd/transport"
)

// A bounded reads at most limit bytes of r and then fails.
type bounded struct {
	r     io.Reader
	limit int
	left  int
	err   error                 // the last word of r
	ended func(err error) error // called once with it, may translate it
}

func (b *bounded) set(r io.Reader, limit int, ended func(error) error) {
	b.r, b.limit, b.left, b.ended = r, limit, limit, ended
	if limit <= 0 {
		b.left = math.MaxInt - 1
	}
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) > b.left {
		p = p[:b.left+1] // one more than allowed, to see whether there is one
	}
	n, err := b.r.Read(p)
	if n > b.left {
		n, err = b.left, tooLarge(b.limit)
	}
	b.left -= n
	if err != nil {
		b.err = b.ended(err)
	}
	return n, b.err
}

// empty says that nothing has been read.
func (b *bounded) empty() bool {
	return b.left == b.limit || b.limit <= 0 && b.left == math.MaxInt-1
}

func tooLarge(limit int) *transport.Error {
	return &transport.Error{Op: "receive", Status: transport.TooLarge.Status(), Reason: transport.TooLarge, Limit: limit}
}
