package replayserver_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// An author is the application's code wherever it runs while a message of a
// history is delivered: all of it publishes on a channel of that history.
type author struct {
	srv *server.Server

	mu  sync.Mutex
	ran map[string]error
}

func (a *author) publish(ctx context.Context, where string) {
	err := a.srv.Publish(ctx, "/log", where)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ran[where] = err
}

// published waits until all of these places have published. The server must not be
// closed before, since it then takes no message; a place may come again at any time.
func (a *author) published(t *testing.T, places ...string) {
	t.Helper()
	wanted := map[string]error{}
	for _, where := range places {
		wanted[where] = nil
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		a.mu.Lock()
		defer a.mu.Unlock()
		assert.Equal(c, wanted, a.ran)
	}, 10*time.Second, time.Millisecond)
}

func (a *author) hooks() server.Hooks {
	return server.Hooks{
		Limited:       func(string) { a.publish(context.Background(), "limited") },
		Dropped:       func(*server.Session, string, int, transport.Reason) { a.publish(context.Background(), "dropped") },
		SessionClosed: func(*server.Session, transport.Reason) { a.publish(context.Background(), "closed") },
		Published: func(ch string, _, _ int) {
			if ch != "/log" {
				a.publish(context.Background(), "published")
			}
		},
	}
}

// poll asks over an exchange of its own.
func poll(t *testing.T, d transport.Dialer, message string) []*bayeux.Message {
	conn, err := d.Dial(t.Context(), &transport.Target{URL: &url.URL{Scheme: "http", Host: "t"}, HTTP: &http.Client{}})
	require.NoError(t, err)
	s := &socket{t: t, Conn: conn}
	defer s.Close(transport.Normal)
	s.say(message)
	return s.hear()
}

// soon fails the test if f does not return.
func soon(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("they wait for each other")
	}
}

// While a message of the history is delivered all others wait. What the application
// is told of it may publish on such a channel all the same.
func TestHooksMayPublishOnKeptChannelsWhateverADeliveryDoes(t *testing.T) {
	a := &author{ran: map[string]error{}}
	h, err := replayserver.New(replayserver.NewMemory(everything...))
	require.NoError(t, err)
	a.srv, err = server.New(h, server.WithHooks(a.hooks()), server.WithLimits(server.Limits{SessionMessages: 3}),
		server.WithExtension(server.Extension{Channels: []string{bayeux.MetaConnect}, Outgoing: func(ctx context.Context, s *server.Session, _ *bayeux.Message) error {
			if s.Context().Err() != nil {
				a.publish(ctx, "outgoing")
			}
			return nil
		}}))
	require.NoError(t, err)
	d := memory.NewPollDialer(a.srv.ServeConn)
	id := poll(t, d, `{"channel":"/meta/handshake","id":"1","version":"1.0"}`)[0].ClientID
	poll(t, d, fmt.Sprintf(`{"channel":"/meta/connect","id":"2","clientId":%q}`, id))
	require.NoError(t, a.srv.Session(id).Subscribe("/a"))
	answered := make(chan []*bayeux.Message, 1)
	go func() { answered <- poll(t, d, fmt.Sprintf(`{"channel":"/meta/connect","id":"3","clientId":%q}`, id)) }()
	require.Eventually(t, func() bool { return a.srv.Stats().Held == 1 }, 10*time.Second, time.Millisecond)
	soon(t, func() {
		s := a.srv.Session(id)
		s.Batch(func() {
			publish(t, a.srv, "/a", 4)
			<-s.Context().Done()
		})
		assert.Len(t, <-answered, 1)
	})
	a.published(t, "limited", "dropped", "closed", "published", "outgoing")
	a.srv.Close()
}

// The same holds where a subscription has reached the present and gets the latest
// messages of channels that are not kept.
func TestHooksMayPublishOnKeptChannelsWhereThePastEnds(t *testing.T) {
	a := &author{ran: map[string]error{}}
	h, err := replayserver.New(replayserver.NewMemory(replayserver.Rule{Pattern: "/log"}))
	require.NoError(t, err)
	closed := make(chan struct{})
	hooks := a.hooks()
	hooks.Published = nil
	hooks.SessionClosed = func(*server.Session, transport.Reason) {
		a.publish(context.Background(), "closed")
		close(closed)
	}
	a.srv, err = server.New(h, server.WithHooks(hooks), server.WithLimits(server.Limits{SessionMessages: 3}),
		server.WithChannel("/price/*", server.ChannelOptions{SendLast: true}))
	require.NoError(t, err)
	for i := range 10 {
		publish(t, a.srv, fmt.Sprint("/price/", i), 1)
	}
	c := open(t, a.srv)
	soon(t, func() {
		a.srv.Session(c.id).Batch(func() {
			c.subscribe("/**")
			<-closed
		})
	})
	a.published(t, "limited", "dropped", "closed")
	a.srv.Close()
}

// What sees a message on its way to each subscriber is in the middle of a delivery.
func TestADeliverThatPublishesOnAKeptChannelIsRefused(t *testing.T) {
	a := &author{ran: map[string]error{}}
	h, err := replayserver.New(replayserver.NewMemory(everything...))
	require.NoError(t, err)
	a.srv, err = server.New(h, server.WithExtension(server.Extension{Channels: []string{"/a"}, Deliver: func(ctx context.Context, _ *server.Session, m *bayeux.Message) error {
		ctx, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		a.publish(ctx, "deliver")
		return nil
	}}))
	require.NoError(t, err)
	refused := func() error { err := a.ran["deliver"]; delete(a.ran, "deliver"); return err }
	c := open(t, a.srv)
	soon(t, func() {
		publish(t, a.srv, "/a", 1)
		c.subscribe("/a")
		assert.Len(t, c.data(1)["/a"], 1)
	})
	assert.ErrorContains(t, refused(), "/log", "of the past")
	soon(t, func() {
		c.say(`{"channel":"/a","id":"p","clientId":"$","data":1}`)
		assert.Len(t, c.data(1)["/a"], 1)
	})
	assert.ErrorContains(t, refused(), "/log", "of the present")
	c.Close(transport.Normal)
	a.srv.Close()
}

// A message that a listener has kept stays what it was: its delivery, on another
// goroutine, has one of its own.
func TestTheHistoryChangesNoMessageThatAListenerHasKept(t *testing.T) {
	srv := serve(t, replayserver.NewMemory(everything...))
	var kept *bayeux.Message
	srv.Handle("/a", func(_ context.Context, _ *server.Session, m *bayeux.Message) error { kept = m; return nil })
	publish(t, srv, "/a", 1)
	assert.Equal(t, "0", string(kept.Data))
	srv.Close()
}
