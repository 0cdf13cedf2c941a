package transporttest_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/transporttest"
)

// lines is a transport such as a user would write: a JSON array per line.
type lines struct {
	net.Conn
	in     *bufio.Scanner
	limit  int
	peer   transport.Peer
	ctx    context.Context
	cancel context.CancelFunc
}

func newLines(c net.Conn, limit int) *lines {
	l := &lines{Conn: c, in: bufio.NewScanner(c), limit: limit, peer: transport.Peer{Type: "lines"}}
	l.in.Buffer(nil, limit+4)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

func (l *lines) Receive() (io.Reader, error) {
	if l.in.Scan() && len(l.in.Bytes()) <= l.limit {
		return bytes.NewReader(l.in.Bytes()), nil
	}
	err := cmp.Or(l.in.Err(), io.EOF)
	if errors.Is(err, bufio.ErrTooLong) || len(l.in.Bytes()) > l.limit {
		err = &transport.Error{Type: "lines", Op: "receive", Reason: transport.TooLarge, Limit: l.limit}
	}
	l.cancel()
	return nil, err
}

func (l *lines) Send(p *transport.Payload) error {
	_, err := l.Write(append(p.AppendTo(nil), '\n'))
	return err
}

func (l *lines) Close(transport.Reason) error {
	l.cancel()
	return l.Conn.Close()
}

func (l *lines) Peer() *transport.Peer    { return &l.peer }
func (l *lines) Context() context.Context { return l.ctx }

// The suite holds for a transport whose network takes nothing that nobody reads.
func TestPipesKeepThePromises(t *testing.T) {
	transporttest.Run(t, func(t testing.TB, limit int, serve func(transport.Conn)) transporttest.Dial {
		var serving sync.WaitGroup
		t.Cleanup(serving.Wait)
		return func() (transport.Conn, error) {
			here, there := net.Pipe()
			serving.Go(func() {
				l := newLines(there, limit)
				defer l.Close(transport.Normal)
				serve(l)
			})
			return newLines(here, limit), nil
		}
	})
}

// The suite holds for a transport written from the contract alone.
func TestLinesKeepThePromises(t *testing.T) {
	transporttest.Run(t, func(t testing.TB, limit int, serve func(transport.Conn)) transporttest.Dial {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		var serving sync.WaitGroup
		serving.Go(func() {
			for c, err := ln.Accept(); err == nil; c, err = ln.Accept() {
				l := newLines(c, limit)
				serving.Go(func() { defer l.Close(transport.Normal); serve(l) })
			}
		})
		t.Cleanup(func() { ln.Close(); serving.Wait() })
		return func() (transport.Conn, error) {
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				return nil, err
			}
			return newLines(c, limit), nil
		}
	})
}
