package server_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// An unreadAnswer is an exchange whose answer to anything but a connect or a
// handshake does not leave before free is closed.
type unreadAnswer struct {
	transport.Conn
	free <-chan struct{}
}

func (c unreadAnswer) Send(p *transport.Payload) error {
	if p.Kind == transport.Other {
		select {
		case <-c.free:
		case <-c.Context().Done():
			return transport.ErrClosed
		}
	}
	return c.Conn.Send(p)
}

// Who polls, publishes and does not read its answer holds up none of its
// subscribers, and nothing else that they are to get.
func TestAPublisherThatDoesNotReadItsAnswerHoldsUpNobody(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		free := make(chan struct{})
		defer close(free)
		hearer := w.session("/a", "/b")
		publisher := w.clientOn(bayeux.LongPolling)
		publisher.handshake()
		publisher.connect("1")
		publisher.dialer = memory.NewPollDialer(func(conn transport.Conn) { w.ServeConn(unreadAnswer{conn, free}) })
		began := time.Now()
		publisher.send(`{"channel":"/a","id":"p","clientId":"$","data":1}`)
		assert.Equal(t, []string{"1"}, hearer.data(1))
		require.NoError(t, w.Publish(t.Context(), "/b", 2))
		assert.Equal(t, []string{"2"}, hearer.data(1))
		assert.Equal(t, bayeux.Succeeded, hearer.ask(`{"channel":"/c","id":"q","clientId":"$","data":3}`).Outcome)
		assert.Less(t, time.Since(began), time.Second)
	})
}

// What a payload brings its own session does not keep the session's connect from
// others while the payload's handlers run.
func TestAnEchoDoesNotKeepAHeldConnectFromOthers(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.HandleService("/service/slow", func(_ context.Context, s *server.Session, _ *bayeux.Message) (any, error) {
			time.Sleep(9 * time.Second)
			return server.NoAnswer, nil
		})
		c := w.session("/a", "/b")
		began := time.Now()
		c.send(`{"channel":"/a","id":"p","clientId":"$","data":1}`, `{"channel":"/service/slow","id":"slow","clientId":"$"}`)
		w.settle()
		require.NoError(t, w.Publish(t.Context(), "/b", 2))
		assert.Equal(t, []string{"1", "2"}, c.data(2))
		assert.Less(t, time.Since(began), time.Second)
		c.expect("/service/slow", "slow")
	})
}

// A message that was published long ago is new to who gets it as the latest: it is
// no backlog of an hour.
func TestTheLatestMessageIsNoOldBacklog(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		require.NoError(t, w.Publish(t.Context(), "/latest", "an hour ago"))
		time.Sleep(time.Hour)
		slow := w.session("/slow")
		slow.cut()
		require.NoError(t, w.Publish(t.Context(), "/slow", strings.Repeat("x", 9000)))
		time.Sleep(10 * time.Second)
		well := w.session()
		well.cut()
		require.NoError(t, w.Session(well.id).Subscribe("/latest"))
		require.NoError(t, w.Publish(t.Context(), "/slow", strings.Repeat("x", 2000)))
		w.settle()
		assert.Nil(t, w.Session(slow.id))
		assert.NotNil(t, w.Session(well.id))
	}, server.WithChannel("/latest", server.ChannelOptions{SendLast: true}), server.WithLimits(server.Limits{ServerBytes: 10_000}),
		server.WithTiming(server.Timing{MaxInterval: 3 * time.Hour}))
}

// However long a latest message is kept, and however many get it meanwhile, it is in
// the memory once, and is counted so.
func TestTheLatestMessageIsCountedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		require.NoError(t, w.Publish(t.Context(), "/latest", strings.Repeat("x", 5000)))
		var all []*wire
		for range 10 {
			c := w.session()
			c.cut()
			require.NoError(t, w.Session(c.id).Subscribe("/latest"))
			all = append(all, c)
			time.Sleep(3 * time.Second)
		}
		assert.InDelta(t, 5500, w.Stats().QueuedBytes, 500)
		for _, c := range all {
			if s := w.Session(c.id); s != nil {
				s.Kick("")
			}
			c.ask(`{"channel":"/meta/connect","id":"last","clientId":"$"}`)
		}
		w.settle()
		assert.Zero(t, w.Stats().QueuedBytes)
	}, server.WithChannel("/latest", server.ChannelOptions{SendLast: true}), stayAway)
}

// A gauge of sessions that hooks keep does not go below zero.
func TestHooksAreToldOfEverySessionWhoseEndTheyAreTold(t *testing.T) {
	kick := func(_ context.Context, s *server.Session, _ *bayeux.Message) error {
		s.Kick("at once")
		return nil
	}
	var x *told
	hooks := server.Hooks{
		SessionOpened: func(*server.Session) { x.say("opened") },
		SessionClosed: func(*server.Session, transport.Reason) { x.say("closed") },
	}
	everywhere(t, func(t *testing.T, w *world) {
		x = new(told)
		w.client().ask(`{"channel":"/meta/handshake","id":"1","version":"1.0"}`)
		assert.Equal(t, []string{"opened", "closed"}, x.said())
	}, server.WithHooks(hooks), server.WithExtension(server.Extension{Channels: []string{bayeux.MetaHandshake}, Outgoing: kick}))
}

// A pattern may be written with a slash at its end wherever one is taken.
func TestPatternsOfTheProgramMayEndWithASlash(t *testing.T) {
	var x *told
	see := func(name string) func(context.Context, *server.Session, *bayeux.Message) error {
		return func(context.Context, *server.Session, *bayeux.Message) error {
			x.say(name)
			return nil
		}
	}
	everywhere(t, func(t *testing.T, w *world) {
		x = new(told)
		w.Handle("/a/*/", see("listener"))
		w.Filter("/a/b/", func(_ context.Context, _ *server.Session, data any) (any, error) {
			x.say("filter")
			return data, nil
		})
		w.Authorize("/a/b/", func(context.Context, *server.Session, server.Op, string) (server.Decision, string) {
			x.say("authorizer")
			return server.Grant, ""
		})
		w.OnCreate("/a/b/", func(*server.Channel) { x.say("creation") })
		require.NoError(t, w.Configure("/a/b/", server.ChannelOptions{SendLast: true}))
		c := w.session()
		w.Session(c.id).Extend(server.Extension{Channels: []string{"/a/*/"}, Incoming: see("own extension")})
		c.ask(`{"channel":"/a/b","id":"1","clientId":"$","data":1}`)
		want := []string{"extension", "own extension", "authorizer", "creation", "authorizer", "filter", "listener"}
		assert.Equal(t, want, x.said(), "the authorizer is asked for the creation too")
		c.ask(`{"channel":"/meta/subscribe","id":"2","clientId":"$","subscription":"/a/b"}`)
		assert.Equal(t, []string{"1"}, c.data(1))
		require.NoError(t, w.Session(c.id).Send("/own/", 2))
		assert.Equal(t, "/own", c.events(1)[0].Channel)
		assert.Error(t, w.Configure("/a/{b}", server.ChannelOptions{}), "it would match nothing")
	}, server.WithExtension(server.Extension{Channels: []string{"/a/b/"}, Incoming: see("extension")}))
}
