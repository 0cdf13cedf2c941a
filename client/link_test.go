package client

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

// A refusing is a stream whose far side ends it while something is being sent:
// Send finds it closed, and Receive knows why, a little later.
type refusing struct {
	answering
	sent chan struct{}
	why  error // nil: it never says
	ctx  context.Context
	end  context.CancelFunc
}

func (r *refusing) Type() string { return bayeux.WebSocket }

func (r *refusing) Dial(context.Context, *transport.Target) (transport.Conn, error) {
	c := &refusing{sent: make(chan struct{}), why: r.why}
	c.ctx, c.end = context.WithCancel(context.Background())
	return c, nil
}

func (r *refusing) Send(*transport.Payload) error {
	close(r.sent)
	return transport.ErrClosed
}

func (r *refusing) Receive() (io.Reader, error) {
	<-r.sent
	if r.why == nil {
		<-r.ctx.Done()
		return nil, transport.ErrClosed
	}
	time.Sleep(10 * time.Millisecond)
	return nil, r.why
}

func (r *refusing) Close(transport.Reason) error { r.end(); return nil }
func (r *refusing) Context() context.Context     { return r.ctx }

func TestWhyAStreamEndedIsWhatItsReaderIsTold(t *testing.T) {
	for name, why := range map[string]error{
		"told":       &transport.Error{Type: bayeux.WebSocket, Op: "receive", Reason: transport.TooLarge},
		"never told": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := New(testURL, WithTransports(&refusing{why: why}))
				assert.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				err = c.Wait(ctx)
				if why != nil {
					assert.ErrorIs(t, err, transport.ErrTooLarge)
					assert.NotErrorIs(t, err, transport.ErrClosed)
				} else {
					assert.ErrorIs(t, err, transport.ErrClosed)
				}
				c.Close()
				<-c.Done()
			})
		})
	}
}

// What a link that has ended took from the outbox would be lost with it, though
// nothing of it was sent.
func TestNothingIsTakenForALinkThatHasEnded(t *testing.T) {
	o := newOutbox(0)
	o.openOrdinary()
	o.put(laneOther, &request{channel: "/a"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Nil(t, o.take(ctx, laneConnect, laneOther))
	assert.Len(t, o.take(t.Context(), laneConnect, laneOther), 1)
}
