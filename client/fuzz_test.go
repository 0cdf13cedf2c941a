package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/fuzzing"
	"github.com/gocometd/cometd/transport"
)

// Whatever a server sends, a client neither panics nor hangs, and settles no
// request twice.
func FuzzReceive(f *testing.F) {
	for _, d := range []dialect{faye, salesforce, axum, noisy} {
		for i, ch := range []string{bayeux.MetaHandshake, bayeux.MetaConnect, bayeux.MetaSubscribe, "/a"} {
			p := payload(d(&bayeux.Message{Channel: ch, ID: fmt.Sprint(i + 1)}, 1)...)
			f.Add(p.AppendTo(nil))
		}
	}
	f.Add([]byte(`[{"channel":"/service/call","id":"5","data":1,"successful":false}]`))
	f.Add([]byte(`[{"channel":"/meta/disconnect"},{"id":"2","successful":false}]`))
	f.Add([]byte(`{"channel":"/a","data":null,"advice":{"reconnect":"none"}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		fuzzing.Watch(t)
		c, err := New(testURL, WithTransports(board(newFake(), streams)), WithLimits(Limits{Pending: -1}), WithLogger(fuzzing.Log(t, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { c.Close(); <-c.Done() }()
		s, err := c.Listen("/**", WithQueue(1, KeepLatest))
		if err != nil {
			t.Fatal(err)
		}
		l := &link{c: c, dialer: c.cfg.dialers[0], conn: &answering{}, pending: make(map[uint64]*request), turn: make(chan struct{}, 1)}
		l.ctx, l.cancel = context.WithCancelCause(t.Context())
		defer l.cancel(nil)
		settled := make(map[uint64]int)
		for i, ch := range []string{bayeux.MetaHandshake, bayeux.MetaConnect, bayeux.MetaSubscribe, "/a", "/service/call"} {
			id := uint64(i + 1)
			r := &request{channel: ch, id: id, ctx: t.Context(), call: i == 4, tries: 1}
			if i < 3 {
				r.m, r.kind = &bayeux.Message{Channel: ch}, kindOf(ch)
			}
			r.settled = func(*bayeux.Message, error) { settled[id]++ }
			c.asking.Add(1)
			l.pending[id] = r
		}
		newReader(l).receive(&answering{payload: in})
		for id, n := range settled {
			if n > 1 {
				t.Errorf("request %d was settled %d times", id, n)
			}
			if l.pending[id] != nil {
				t.Errorf("request %d is settled and pending", id)
			}
		}
		s.Unsubscribe(t.Context())
	})
}

// answering is a Conn whose next payload is given.
type answering struct{ payload []byte }

func (a *answering) Receive() (io.Reader, error)   { return bytes.NewReader(a.payload), nil }
func (a *answering) Send(*transport.Payload) error { return nil }
func (a *answering) Close(transport.Reason) error  { return nil }
func (a *answering) Peer() *transport.Peer         { return &transport.Peer{Type: bayeux.WebSocket} }
func (a *answering) Context() context.Context      { return context.Background() }
