package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/server"
)

func TestAuthorizersGrantRefuseAndIgnore(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		say := func(d server.Decision, reason string, ops ...server.Op) server.Authorizer {
			return func(_ context.Context, _ *server.Session, op server.Op, _ string) (server.Decision, string) {
				for _, o := range ops {
					if o == op {
						return d, reason
					}
				}
				return server.Ignore, ""
			}
		}
		w.Authorize("/**", say(server.Grant, "", server.OpSubscribe, server.OpCreate))
		w.Authorize("/a/**", say(server.Refuse, "closed", server.OpPublish))
		w.Authorize("/a/open", say(server.Grant, "", server.OpPublish))
		remove := w.Authorize("/b/open", say(server.Grant, "", server.OpPublish))
		c := w.session("/a/open", "/b/open")
		publish := func(ch string) string {
			return c.ask(`{"channel":"` + ch + `","id":"p","clientId":"$","data":1}`).Error
		}
		assert.Equal(t, "403:closed:publish_denied", publish("/a/open"), "refuse wins")
		assert.Equal(t, "403:denied_by_not_granting:publish_denied", publish("/c"), "ignoring is not granting")
		assert.Equal(t, "", publish("/b/open"))
		remove()
		assert.Equal(t, "403:denied_by_not_granting:publish_denied", publish("/b/open"))
	})
}

// docs/protocol.md §15: collected from the channel and all matching wildcards.
func TestAnAuthorizerJudgesThePatternsBelowIt(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.Authorize("/news/**", func(_ context.Context, _ *server.Session, _ server.Op, ch string) (server.Decision, string) {
			if ch == "/news/open/*" {
				return server.Grant, ""
			}
			return server.Refuse, "members_only"
		})
		w.Authorize("/one/*", func(context.Context, *server.Session, server.Op, string) (server.Decision, string) {
			return server.Refuse, "nobody"
		})
		c := w.session()
		subscribe := func(ch string) string {
			return c.ask(`{"channel":"/meta/subscribe","id":"s","clientId":"$","subscription":"` + ch + `"}`).Error
		}
		for _, ch := range []string{"/news/sport", "/news/*", "/news/**", "/news/sport/*", "/news/sport/**"} {
			assert.Equal(t, "403:members_only:create_denied", subscribe(ch), ch)
		}
		for _, ch := range []string{"/one/a", "/one/*"} {
			assert.Equal(t, "403:nobody:create_denied", subscribe(ch), ch)
		}
		for _, ch := range []string{"/news/open/*", "/newspaper/*", "/one", "/one/a/b", "/one/**", "/**"} { // others, or wider
			assert.Empty(t, subscribe(ch), ch)
		}
		require.NoError(t, w.Session(c.id).Subscribe("/news/*"), "the server's own subscriptions ask nobody")
		assert.Equal(t, "403:members_only:subscribe_denied", subscribe("/news/*"), "that the pattern exists is no grant")
	})
}

func TestAuthorizersFiltersAndInitializersAreForNoTemplates(t *testing.T) {
	srv, err := server.New()
	require.NoError(t, err)
	defer srv.Close()
	authorize := func(context.Context, *server.Session, server.Op, string) (server.Decision, string) {
		return server.Grant, ""
	}
	listen := func(context.Context, *server.Session, *bayeux.Message) error { return nil }
	for _, bad := range []string{"/a/{id}", "/a//b", ""} {
		assert.Panics(t, func() { srv.Authorize(bad, authorize) })
		assert.Panics(t, func() { srv.Filter(bad, server.NoMarkup()) })
		assert.Panics(t, func() { srv.OnCreate(bad, func(*server.Channel) {}) })
	}
	for _, bad := range []string{"/a/{id", "/a/{x}/{x}"} {
		_, err := bayeux.ParseTemplate(bad)
		assert.PanicsWithValue(t, "server: "+err.Error(), func() { srv.Handle(bad, listen) }, "what is wrong with the template")
	}
}

// The parts of an error on the wire have colons and commas between them.
func TestAReasonReachesTheClientWhole(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		m := w.session().ask(`{"channel":"/meta/subscribe","id":"1","clientId":"$","subscription":"/a"}`)
		assert.Equal(t, "403:plan expired; pay; then retry:subscribe_denied", m.Error)
		assert.Equal(t, []string{"plan expired; pay; then retry"}, bayeux.ParseError(m.Channel, m.Error).Args)
	}, server.WithPolicy(server.Policy{Subscribe: func(context.Context, *server.Session, string, *bayeux.Message) error {
		return server.Deny("plan expired: pay, then retry")
	}}))
}

// Or each message would panic, at any peer's demand.
func TestAFunctionThatIsNilPanicsWhereItIsGiven(t *testing.T) {
	srv, err := server.New()
	require.NoError(t, err)
	defer srv.Close()
	for what, give := range map[string]func(){
		"listener is nil":                  func() { srv.Handle("/a", nil) },
		"authorizer is nil":                func() { srv.Authorize("/a", nil) },
		"filter is nil":                    func() { srv.Filter("/a", server.NoMarkup(), nil) },
		"function for new channels is nil": func() { srv.OnCreate("/a", nil) },
		"service is nil":                   func() { srv.HandleService("/service/a", nil) },
	} {
		assert.PanicsWithValue(t, "server: "+what, give)
	}
	assert.Panics(t, func() { server.Parallel(1, nil) })
	assert.Panics(t, func() { server.Typed[int, int](nil) })
	assert.Panics(t, func() { server.Strings(nil) })
}

// A policy that fails, say without its database, fails for each message of each
// peer.
func TestRefusalsWithoutAReasonAreInTheLogButDoNotFillIt(t *testing.T) {
	var log journal
	down := server.Policy{Publish: func(context.Context, *server.Session, *server.Publication) error { return errors.New("database down") }}
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c := w.session()
		for i := range 150 {
			c.ask(fmt.Sprintf(`{"channel":"/broken","id":"x%d","clientId":"$","data":1}`, i))
			time.Sleep(time.Second)
		}
		lines := log.lines("")
		require.Len(t, lines, 3)
		for i, times := range []string{"times=1\n", "times=60\n", "times=60\n"} {
			for _, part := range []string{"what=publish_denied", "session=…" + c.id[len(c.id)-8:], "channel=/broken", times, `err="database down"`} {
				assert.Contains(t, lines[i], part)
			}
		}
	}, server.WithPolicy(down), server.WithTiming(server.Timing{MaxInterval: time.Hour, Timeout: time.Hour}),
		server.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))))
}

// exact is a codec that the test can tell from others.
type exact struct{ codec.JSON }

func (exact) Unmarshal(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(v)
}

func TestAPolicyDecodesAsTheServerDoes(t *testing.T) {
	var got any
	policy := server.Policy{Publish: func(_ context.Context, _ *server.Session, p *server.Publication) error { return p.Decode(&got) }}
	everywhere(t, func(t *testing.T, w *world) {
		got = nil
		m := w.session().ask(`{"channel":"/a","id":"1","clientId":"$","data":12345678901234567890}`)
		assert.Equal(t, bayeux.Succeeded, m.Outcome)
		assert.Equal(t, json.Number("12345678901234567890"), got)
	}, server.WithPolicy(policy), server.WithJSON(exact{codec.Std}))
}

func TestPolicyDecidesWithReasonsInTheOrderOfTheProtocol(t *testing.T) {
	var mu sync.Mutex
	var order []string
	note := func(what string) {
		mu.Lock()
		order = append(order, what)
		mu.Unlock()
	}
	policy := server.Policy{
		Create: func(_ context.Context, _ *server.Session, ch string, _ *bayeux.Message) error {
			note("create")
			if ch == "/forbidden" {
				return server.Deny("no_new_ones")
			}
			return nil
		},
		Subscribe: func(context.Context, *server.Session, string, *bayeux.Message) error { note("subscribe"); return nil },
	}
	see := server.Extension{Channels: []string{"/a"}}
	see.Incoming = func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
		note("extension")
		return m.Ext.Set("seen", "yes")
	}
	policy.Publish = func(_ context.Context, _ *server.Session, p *server.Publication) error {
		note("publish")
		if p.Channel() == "/broken" {
			return errors.New("database down")
		}
		if p.Channel() == "/a" {
			assert.Equal(t, `"yes"`, string(p.Message().Ext["seen"]), "policy sees what extensions made of it")
		}
		return nil
	}
	everywhere(t, func(t *testing.T, w *world) {
		order = nil
		c := w.session()
		w.Handle("/a", func(context.Context, *server.Session, *bayeux.Message) error { note("listener"); return nil })
		c.ask(`{"channel":"/a","id":"p","clientId":"$","data":1}`)
		assert.Equal(t, []string{"extension", "create", "publish", "listener"}, order)
		assert.Equal(t, "403:no_new_ones:channel_create_denied", c.ask(`{"channel":"/forbidden","id":"p","clientId":"$","data":1}`).Error)
		assert.Equal(t, "403:no_new_ones:create_denied", c.ask(`{"channel":"/meta/subscribe","id":"p","clientId":"$","subscription":"/forbidden"}`).Error)
		assert.Equal(t, "403::publish_denied", c.ask(`{"channel":"/broken","id":"p","clientId":"$","data":1}`).Error, "the cause is the log's")
	}, server.WithPolicy(policy), server.WithExtension(see))
}

// A policy sees all of the message that is to be published, and what it does to
// that changes nothing.
func TestAPolicyGetsACopyOfTheMessage(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		for i, ext := range []string{"", `,"ext":{"e":1}`} {
			reply := c.ask(fmt.Sprintf(`{"channel":"/a","id":"%d","clientId":"$","data":"mine","more":[1]%s}`, i, ext))
			assert.Equal(t, bayeux.Succeeded, reply.Outcome, reply.Error)
			m := c.events(1)[0]
			assert.Equal(t, `"mine"`, string(m.Data))
			assert.NotContains(t, m.Ext, "x")
		}
	}, server.WithPolicy(server.Policy{Publish: func(_ context.Context, s *server.Session, p *server.Publication) error {
		m := p.Message()
		if m.ID == "" || string(m.Data) != `"mine"` || string(m.Extra["more"]) != "[1]" {
			return server.Deny("incomplete")
		}
		copy(m.Data, `"your"`)
		return m.Ext.Set("x", 1)
	}}))
}
