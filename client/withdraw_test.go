package client

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An extension takes its time; meanwhile the caller goes away.
func TestWhatIsWithdrawnOnItsWayToTheWireIsNotSent(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			returned := make(chan struct{})
			out := func(_ context.Context, m *bayeux.Message) error {
				if m.Channel == "/a" {
					cancel()
					<-returned
				}
				return nil
			}
			c := start(t, dialers(d), WithExtension(Extension{Name: "slow", Requests: []string{"/a"}, Outgoing: out}))
			require.NoError(t, c.Wait(t.Context()))
			go func() {
				assert.ErrorIs(t, c.Publish(ctx, "/a", 1), context.Canceled)
				close(returned)
			}()
			<-returned
			require.NoError(t, c.Publish(t.Context(), "/b", 1))
			assert.Zero(t, f.count("/a"))
			drained, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			assert.NoError(t, c.Drain(drained), "it is settled")
		})
	})
}

// onLog calls f with the text of each record.
type onLog func(string)

func (f onLog) Enabled(context.Context, slog.Level) bool { return true }

func (f onLog) Handle(_ context.Context, r slog.Record) error {
	f(r.Message)
	return nil
}

func (f onLog) WithAttrs([]slog.Attr) slog.Handler { return f }

func (f onLog) WithGroup(string) slog.Handler { return f }

// What has found no connection goes back to where it waited.
func TestWhatIsWithdrawnOnItsWayBackIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, polls)
		ctx, cancel := context.WithCancel(t.Context())
		returned := make(chan struct{})
		c := start(t, dialers(d), WithLogger(slog.New(onLog(func(text string) {
			if strings.HasPrefix(text, "no connection for a request") {
				cancel()
				<-returned
			}
		}))))
		require.NoError(t, c.Wait(t.Context()))
		time.Sleep(time.Second)
		d.set(&net.OpError{Op: "dial", Err: errRefused})
		go func() {
			assert.ErrorIs(t, c.Publish(ctx, "/a", 1), context.Canceled)
			close(returned)
		}()
		<-returned
		d.set(nil)
		time.Sleep(time.Minute)
		assert.Zero(t, f.count("/a"))
		drained, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		assert.NoError(t, c.Drain(drained), "it is settled")
	})
}
