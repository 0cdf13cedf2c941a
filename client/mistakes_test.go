package client

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
)

func TestSchemesOfWebSocketsAreThoseOfHTTP(t *testing.T) {
	for raw, want := range map[string]string{"ws://a/b": "http://a/b", "wss://a/b": "https://a/b", "http://a": "http://a"} {
		u, err := parseURL(raw)
		require.NoError(t, err)
		assert.Equal(t, want, u.String())
	}
}

// What cannot be is an error where it is asked for, and nothing is sent.
func TestWhatTheApplicationGetsWrongItIsTold(t *testing.T) {
	d := WithTransports(dialers(board(newFake(), streams))...)
	for name, o := range map[string]Option{"JSON": WithJSON(nil), "header": WithHeader(" a", "b")} {
		_, err := New(testURL, d, Options(nil, o))
		assert.ErrorContains(t, err, name)
	}
	_, err := NewManual("ftp://host", d)
	assert.ErrorContains(t, err, "neither http nor https")
	_, err = Dial(t.Context(), "ftp://host", d)
	assert.ErrorContains(t, err, "neither http nor https")
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c, ctx := start(t, dialers(board(f, streams)), nil, Options(nil, nil), WithLogger(nil)), t.Context()
		handler := func(context.Context, *bayeux.Message) error { return nil }
		_, err := c.SubscribeFunc(ctx, "/a", nil)
		assert.ErrorContains(t, err, "handler is nil")
		for _, ch := range []string{"", "no slash", "/a//b"} {
			_, err := c.Listen(ch)
			assert.Error(t, err, ch)
			_, err = c.SubscribeFunc(ctx, ch, handler)
			assert.Error(t, err, ch)
			assert.Error(t, c.PublishFunc(ch, 1, nil), ch)
			_, err = c.Call(ctx, ch, 1)
			assert.Error(t, err, ch)
		}
		assert.ErrorContains(t, c.Publish(ctx, "/a", make(chan int)), "chan int")
		_, err = c.Subscribe(ctx, "/ok", nil)
		assert.NoError(t, err, "a nil option is none")
		assert.Zero(t, f.count("/a"))
	})
}

func TestAfterCloseEverythingSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ctx := start(t, dialers(board(newFake(), streams))), t.Context()
		require.NoError(t, c.Wait(ctx))
		require.NoError(t, c.Close())
		<-c.Done()
		_, err := c.Listen("/a")
		assert.ErrorIs(t, err, ErrClosed)
		_, err = c.Subscribe(ctx, "/a")
		assert.ErrorIs(t, err, ErrClosed)
		_, err = c.SubscribeFunc(ctx, "/a", func(context.Context, *bayeux.Message) error { return nil })
		assert.ErrorIs(t, err, ErrClosed)
		assert.ErrorIs(t, c.Publish(ctx, "/a", 1), ErrClosed)
		b := c.Batch()
		b.Publish("/a", 1)
		assert.ErrorIs(t, b.Send(ctx), ErrClosed)
		_, err = c.Call(ctx, "/service/a", 1)
		assert.ErrorIs(t, err, ErrClosed)
	})
}

// An extension's *bayeux.Error reaches whoever asked as it is, on the way out
// and on the way in.
func TestAnExtensionsRefusalReachesItsCallerAsItIs(t *testing.T) {
	refusal := &bayeux.Error{Code: 418, Message: "no_coffee"}
	for name, x := range map[string]Extension{
		"outgoing": {Requests: []string{"/a"}, Outgoing: func(context.Context, *bayeux.Message) error { return refusal }},
		"incoming": {Channels: []string{"/a"}, Incoming: func(context.Context, *bayeux.Message) error { return refusal }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := start(t, dialers(board(newFake(), streams)), WithExtension(x))
				var e *bayeux.Error
				require.ErrorAs(t, c.Publish(t.Context(), "/a", 1), &e)
				assert.Equal(t, refusal, e)
			})
		})
	}
}

func TestABatchEndsWithItsContextAndIsWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, streams)
		d.down(true)
		c := start(t, dialers(d))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b := c.Batch()
		b.Publish("/a", 1)
		b.Publish("/a", 2)
		assert.ErrorIs(t, b.Send(ctx), context.DeadlineExceeded)
		d.down(false)
		require.NoError(t, c.Wait(t.Context()))
		time.Sleep(time.Minute)
		assert.Zero(t, f.count("/a"), "nobody waits for them any more")
	})
}

// countedJSON is a codec that counts.
type countedJSON struct{ marshaled, unmarshaled atomic.Int32 }

func (c *countedJSON) Marshal(v any) ([]byte, error) { c.marshaled.Add(1); return json.Marshal(v) }
func (c *countedJSON) Unmarshal(b []byte, v any) error {
	c.unmarshaled.Add(1)
	return json.Unmarshal(b, v)
}

func TestWithJSONTheApplicationsCodecReadsAndWritesItsData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := new(countedJSON)
		c, ctx := start(t, dialers(board(newFake(), streams)), WithJSON(j)), t.Context()
		got := make(chan int, 1)
		s, err := c.SubscribeFunc(ctx, "/a", Typed(func(_ context.Context, v struct{ Price int }) error {
			got <- v.Price
			return nil
		}))
		require.NoError(t, err)
		require.NoError(t, c.Publish(ctx, "/a", struct{ Price int }{7}))
		assert.Equal(t, 7, <-got)
		assert.EqualValues(t, 1, j.marshaled.Load())
		assert.EqualValues(t, 1, j.unmarshaled.Load())
		require.NoError(t, c.Publish(ctx, "/a", "no object"))
		<-s.Done()
		assert.Error(t, s.Err(), "data that does not fit ends the subscription")
		assert.False(t, errors.Is(s.Err(), bayeux.ErrNoData))
	})
}

// A Manual asks for its credentials and its own ext fields with each handshake,
// and makes none without them.
func TestAManualHandshakeHasItsCredentialsOrIsNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var tokenErr, extErr error
		m, err := NewManual(testURL, WithTransports(dialers(board(f, streams))...), WithTokenExt("token"),
			WithTokenSource(func(context.Context) (AccessToken, error) { return Bearer("t"), tokenErr }),
			WithHandshakeExt(func(context.Context) (bayeux.Ext, error) { return bayeux.Ext{"app": []byte("7")}, extErr }))
		require.NoError(t, err)
		defer m.Close()
		for _, failing := range []*error{&tokenErr, &extErr} {
			*failing = errRefused
			_, err = m.Handshake(t.Context())
			assert.ErrorIs(t, err, errRefused)
			*failing = nil
		}
		assert.Zero(t, f.count(bayeux.MetaHandshake))
		_, err = m.Handshake(t.Context())
		require.NoError(t, err)
		f.mu.Lock()
		defer f.mu.Unlock()
		assert.Equal(t, bayeux.Ext{"app": []byte("7"), "token": []byte(`"t"`)}, f.payloads[0][0].Ext)
	})
}

func TestAManualSendsNothingThatCannotBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		m, err := NewManual(testURL, WithTransports(dialers(board(f, streams))...), WithExtension(Extension{
			Requests: []string{"/deleted"}, Outgoing: func(context.Context, *bayeux.Message) error { return errRefused },
		}))
		require.NoError(t, err)
		ctx := t.Context()
		for name, step := range map[string]func() ([]*bayeux.Message, error){
			"subscribe": func() ([]*bayeux.Message, error) { return m.Subscribe(ctx, "/a") },
			"leave":     func() ([]*bayeux.Message, error) { return m.Unsubscribe(ctx, "/a") },
			"depart":    func() ([]*bayeux.Message, error) { return m.Disconnect(ctx) },
		} {
			_, err := step()
			assert.Error(t, err, "%s without a session", name)
		}
		_, err = m.Handshake(ctx)
		require.NoError(t, err)
		_, err = m.Send(ctx, &bayeux.Message{Channel: "/deleted"})
		assert.ErrorIs(t, err, errRefused)
		_, err = m.Send(ctx, &bayeux.Message{Channel: "/a", Data: []byte("{")})
		assert.Error(t, err, "no JSON")
		got, err := m.Send(ctx)
		assert.NoError(t, err, "nothing is nothing")
		assert.Empty(t, got)
		require.NoError(t, m.Close())
		_, err = m.Send(ctx, &bayeux.Message{Channel: "/a"})
		assert.ErrorIs(t, err, ErrClosed)
		assert.Zero(t, f.count("/a")+f.count("/deleted"))
	})
}
