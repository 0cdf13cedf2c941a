//go:build unix

package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
)

// receive counts the events of hubs -blast and checks their numbers, which start
// again from 0 after the last.
type receive struct {
	sub            *client.Subscription
	next           int64 // the handler's own
	heard          atomic.Int64
	lost, disorder atomic.Int64
}

// newReceive subscribes. The handler gets the data as text, or decoded.
func newReceive(ctx context.Context, c *client.Client, decoded bool) (r *receive, err error) {
	r = new(receive)
	h := r.handle
	if decoded {
		h = client.Typed(func(_ context.Context, e event) error { return r.check(e.N, e.Of) })
	}
	r.sub, err = c.SubscribeFunc(ctx, "/bench/0", h)
	return r, err
}

// An event is the data of one.
type event struct {
	N    string `json:"n"`
	Of   string `json:"of"`
	Text string `json:"text"`
}

// The data of an event begins with two numbers of ten digits each: its own, and
// how many there are.
const (
	numberHead = `{"n":"`
	totalHead  = `","of":"`
	digits     = 10
	numberAt   = len(numberHead)
	totalAt    = numberAt + digits + len(totalHead)
)

func (r *receive) handle(_ context.Context, m *bayeux.Message) error {
	if len(m.Data) < totalAt+digits || !strings.HasPrefix(string(m.Data), numberHead) {
		return fmt.Errorf("foreign data: %s", m.Data)
	}
	return r.check(string(m.Data[numberAt:numberAt+digits]), string(m.Data[totalAt:totalAt+digits]))
}

// check takes the number of the next event. Where it is not the one that was due,
// the nearer way round says whether events are missing or came too late.
func (r *receive) check(n, of string) error {
	got, all := number(n), number(of)
	if all < 1 {
		return fmt.Errorf("event %q of %q", n, of)
	}
	switch ahead := (got - r.next + all) % all; {
	case ahead == 0:
	case ahead < all/2:
		r.lost.Add(ahead)
	default:
		r.disorder.Add(1)
	}
	r.next = (got + 1) % all
	r.heard.Add(1)
	return nil
}

func number(digits string) (n int64) {
	for i := range len(digits) {
		n = n*10 + int64(digits[i]-'0')
	}
	return n
}

func (r *receive) count() int64                   { return r.heard.Load() }
func (r *receive) faults() (lost, disorder int64) { return r.lost.Load(), r.disorder.Load() }
func (r *receive) end() error                     { return r.sub.Err() }
