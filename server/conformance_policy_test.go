package server_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
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
	for _, bad := range []string{"/a/{id}", "/a//b", ""} {
		assert.Panics(t, func() { srv.Authorize(bad, nil) })
		assert.Panics(t, func() { srv.Filter(bad, server.NoMarkup()) })
		assert.Panics(t, func() { srv.OnCreate(bad, nil) })
	}
	assert.Panics(t, func() { srv.Handle("/a/{id", nil) })
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
