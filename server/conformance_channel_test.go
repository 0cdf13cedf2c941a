package server_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

func TestSubscribeEchoesTheShapeAndWalksInOrder(t *testing.T) {
	deny := server.Policy{Subscribe: func(_ context.Context, _ *server.Session, ch string, _ *bayeux.Message) error {
		if ch == "/secret" {
			return server.Deny("not_yours")
		}
		return nil
	}}
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session()
		rows := []struct{ subscription, err string }{
			{`"/a"`, ""},
			{`"/a"`, ""}, // again is harmless
			{`["/a","/b/*"]`, ""},
			{`["/c"]`, ""},
			{`"/c/"`, ""},
			{`"/service/x"`, ""},
			{`["/d","/secret","/e"]`, "403:not_yours:subscribe_denied"},
			{`[]`, "403::subscription_missing"},
			{`null`, "403::subscription_missing"},
			{`5`, "403::subscription_invalid"},
			{`["/a",5]`, "403::subscription_invalid"},
			{`{}`, "403::subscription_invalid"},
			{`"bad"`, "403::subscription_invalid"},
			{`"/a/*/b"`, "403::subscription_invalid"},
			{`"/a//b"`, "403::subscription_invalid"},
			{`"/é"`, "403::subscription_invalid"},
			{`""`, "403::subscription_invalid"},
			{`"/meta/connect"`, "403:denied_by_security_policy:subscribe_denied"},
			{`"/meta/foo"`, "403:denied_by_security_policy:create_denied"},
			{`"/meta/*"`, "403:denied_by_security_policy:create_denied"},
		}
		for i, r := range rows {
			m := c.ask(fmt.Sprintf(`{"channel":"/meta/subscribe","id":"r%d","clientId":"$","subscription":%s}`, i, r.subscription))
			assert.Equal(t, r.err, m.Error, r.subscription)
			assert.Equal(t, r.err == "", m.Outcome == bayeux.Succeeded)
			if r.subscription != "null" {
				assert.Contains(t, encode(t, m), `"subscription":`+r.subscription)
			}
		}
		assert.Equal(t, []string{"/a", "/b/*", "/c", "/d"}, w.Session(c.id).Subscriptions())
		assert.Equal(t, "403::subscription_missing", c.ask(`{"channel":"/meta/subscribe","id":"x","clientId":"$"}`).Error)

		unsubscribe := func(s string) string {
			return c.ask(`{"channel":"/meta/unsubscribe","id":"u","clientId":"$","subscription":` + s + `}`).Error
		}
		assert.Equal(t, "400::channel_missing", unsubscribe(`"/never"`))
		assert.Equal(t, "", unsubscribe(`"/a"`))
		assert.Equal(t, "", unsubscribe(`"/a"`))
		assert.Equal(t, "", unsubscribe(`["/b/*","/c"]`))
		assert.Equal(t, "403::subscription_invalid", unsubscribe(`"x"`))
		assert.Equal(t, []string{"/d"}, w.Session(c.id).Subscriptions())
	}, server.WithPolicy(deny))
}

func TestPublishesThatAreIllegalAreRefusedAndTheRestGoesOn(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/foo")
		for m, want := range map[string]string{
			`{"id":"a-b","channel":"/foo","clientId":"$","data":1}`: "405::message_id_invalid",
			`{"id":"1","channel":"foo","clientId":"$","data":1}`:    "405::channel_invalid",
			`{"id":"1","channel":"/foo/é","clientId":"$","data":1}`: "405::channel_invalid",
			`{"id":"1","channel":"/foo/*","clientId":"$","data":1}`: "405::channel_invalid",
			`{"id":"1","channel":"/a//b","clientId":"$","data":1}`:  "405::channel_invalid",
			`{"id":"1","channel":"/meta/foo","clientId":"$"}`:       "403:denied_by_security_policy:channel_create_denied",
			`{"id":"1","clientId":"$","data":1}`:                    "400::channel_missing",
			`{"id":7,"channel":"/foo/","clientId":"$","data":1}`:    "",
		} {
			c.send(m)
			r := c.wait()
			for r.Outcome == bayeux.NoOutcome {
				r = c.wait()
			}
			assert.Equal(t, want, r.Error, m)
			if want == "" {
				assert.Equal(t, "7", r.ID, "a number comes back as its digits")
				assert.Equal(t, "/foo/", r.Channel)
			}
		}
	})
}

// docs/protocol.md §21: illegal input gives Bayeux errors.
func TestAFieldOfTheWrongTypeCostsItsOwnMessageOnly(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		for _, bad := range []string{`true`, `{"a":1}`, `["x"]`, `[1,{}]`} {
			c.send(
				`{"channel":"/a","id":`+bad+`,"clientId":"$","data":1}`,
				`{"channel":"/a","id":"who","clientId":`+bad+`,"data":2}`,
				`{"channel":`+bad+`,"id":"where","clientId":"$","data":3}`,
				`{"channel":"/a","id":"advised","clientId":"$","advice":`+bad+`,"data":4}`,
				`{"channel":"/a","id":"good","clientId":"$","data":5}`,
			)
			m := c.expect("/a", "")
			for m.Outcome == bayeux.NoOutcome {
				m = c.expect("/a", "")
			}
			assert.Equal(t, "405::message_id_invalid", m.Error, bad)
			assert.Equal(t, "402::session_unknown", c.expect("/a", "who").Error, bad)
			assert.Equal(t, "400::channel_missing", c.expect("", "where").Error, bad)
			assert.Equal(t, bayeux.Succeeded, c.expect("/a", "advised").Outcome, bad)
			assert.Equal(t, bayeux.Succeeded, c.expect("/a", "good").Outcome, bad)
		}
	})
}

func TestAConnectWhoseAdviceIsNoObjectBringsNone(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.client()
		c.handshake()
		c.ask(`{"channel":"/meta/connect","id":"1","clientId":"$","advice":5}`)
		c.send(`{"channel":"/meta/connect","id":"2","clientId":"$","advice":"x"}`)
		c.eventually(func() bool { return w.Session(c.id).Holds("2") })
	})
}

func TestWildcardsMatchAsTheyShould(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a/*", "/b/**")
		for _, ch := range []string{"/a", "/a/x", "/a/x/y", "/b", "/b/x", "/b/x/y", "/c"} {
			require.NoError(t, w.Publish(t.Context(), ch, ch))
		}
		assert.Equal(t, []string{`"/a/x"`, `"/b/x"`, `"/b/x/y"`}, c.data(3))
		c.quiet()
	})
}

func TestTemplatesGiveListenersTheirVariablesFromRootToLeaf(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var heard []string
		note := func(name string) server.Listener {
			return func(ctx context.Context, _ *server.Session, m *bayeux.Message) error {
				mu.Lock()
				defer mu.Unlock()
				heard = append(heard, name+server.Param(ctx, "category")+server.Param(ctx, "id"))
				return nil
			}
		}
		w.Handle("/news/sport/7", note("leaf"))
		remove := w.Handle("/news/{category}/{id}", note("template "))
		w.Handle("/news/*", note("one"))
		w.Handle("/news/**", note("deep"))
		w.Handle("/**", note("all"))
		require.NoError(t, w.Publish(t.Context(), "/news/sport/7", 1))
		assert.Equal(t, []string{"all", "deep", "template sport7", "leaf"}, heard)
		remove()
		heard = nil
		require.NoError(t, w.Publish(t.Context(), "/news/sport/7", 1))
		assert.Equal(t, []string{"all", "deep", "leaf"}, heard)
	})
}

func TestAListenerMayChangeAndRefuse(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.Handle("/a", func(_ context.Context, s *server.Session, m *bayeux.Message) error {
			var n int
			if err := m.Decode(&n); err != nil {
				return err
			}
			switch n {
			case 0:
				return bayeux.Errorf(403, "zero")
			case 1:
				panic("one")
			}
			return m.SetData(n * 10)
		})
		c := w.session("/a")
		publish := func(data string) string {
			return c.ask(`{"channel":"/a","id":"p","clientId":"$","data":` + data + `}`).Error
		}
		assert.Equal(t, "403::zero", publish("0"))
		assert.Equal(t, "500::internal", publish("1"))
		assert.Equal(t, "404::message_deleted", publish(`"x"`))
		assert.Equal(t, "", publish("2"))
		assert.Equal(t, []string{"20"}, c.data(1))
		c.quiet()
	})
}

// Spaces around a channel and a slash behind it are dropped before the
// application sees it, so that no check of its own can be passed by.
func TestHoweverAChannelIsWrittenTheApplicationSeesItsName(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		var x *told
		see := func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
			x.say(m.Channel)
			return nil
		}
		w.Handle("/a/*", see)
		w.HandleService("/service/x", func(ctx context.Context, s *server.Session, m *bayeux.Message) (any, error) {
			return server.NoAnswer, see(ctx, s, m)
		})
		events := w.Events(t.Context())
		c := w.session()
		w.Session(c.id).Extend(server.Extension{Channels: []string{"/a/b", "/service/x"}, Incoming: see, Outgoing: see})
		for _, name := range []string{"/a/b", "/service/x"} {
			for _, written := range []string{name, name + "/", "  " + name + " ", name + "/ "} {
				x = new(told)
				m := c.ask(fmt.Sprintf(`{"channel":%q,"id":"1","clientId":"$","data":1}`, written))
				assert.Equal(t, bayeux.Succeeded, m.Outcome)
				assert.Equal(t, written, m.Channel, "the client may look for it")
				assert.Equal(t, []string{name, name, name}, x.said(), "%q", written)
			}
		}
		for _, written := range []string{"/meta/handshake/", " /meta/connect"} {
			m := c.ask(fmt.Sprintf(`{"channel":%q,"id":"1","clientId":"$","data":1}`, written))
			assert.Equal(t, "403:denied_by_security_policy:channel_create_denied", m.Error, "no spelling makes it that request")
			assert.Nil(t, m.Advice)
		}
		long := c.ask(fmt.Sprintf(`{"channel":"/a%s","id":"1","clientId":"$","data":1}`, strings.Repeat(" ", 256)))
		assert.Equal(t, "405:channel_bytes,256:channel_invalid", long.Error)

		c.ask(`{"channel":"/meta/subscribe","id":"2","clientId":"$","subscription":["/c/"," /d"]}`)
		c.ask(`{"channel":"/meta/unsubscribe","id":"3","clientId":"$","subscription":"/c/"}`)
		var told []string
		for ev := range events {
			switch ev := ev.(type) {
			case server.Subscribed:
				told = append(told, ev.Channels...)
			case server.Unsubscribed:
				told = append(told, ev.Channels...)
			}
			if len(told) == 3 {
				break
			}
		}
		assert.Equal(t, []string{"/c", "/d", "/c"}, told)
	})
}

func TestIdleChannelsAreSweptUnlessSomethingKeepsThem(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		w.Handle("/listened", func(context.Context, *server.Session, *bayeux.Message) error { return nil })
		w.Authorize("/authorized", func(context.Context, *server.Session, server.Op, string) (server.Decision, string) {
			return server.Grant, ""
		})
		w.Configure("/persistent", server.ChannelOptions{Persistent: true})
		c := w.session("/subscribed", "/left")
		c.ask(`{"channel":"/meta/unsubscribe","id":"u","clientId":"$","subscription":"/left"}`)
		for _, ch := range []string{"/idle", "/busy", "/listened", "/authorized", "/persistent"} {
			require.NoError(t, w.Publish(t.Context(), ch, 1))
		}
		for range 10 {
			time.Sleep(time.Second)
			require.NoError(t, w.Publish(t.Context(), "/busy", 1))
		}
		var names []string
		for info := range w.Channels() {
			names = append(names, info.Name)
		}
		assert.ElementsMatch(t, []string{"/subscribed", "/busy", "/listened", "/authorized", "/persistent"}, names)
	})
}

// A service keeps its channel, and nothing does once it is removed: programs may have
// services that come and go.
func TestAServiceChannelIsSweptWhenItsServiceIsRemoved(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		answer := func(context.Context, *server.Session, *bayeux.Message) (any, error) { return "yes", nil }
		remove := w.HandleService("/service/a", answer)
		before := w.Stats().Channels
		time.Sleep(10 * time.Second)
		assert.NotNil(t, w.Channel("/service/a"))
		remove()
		time.Sleep(10 * time.Second)
		assert.Nil(t, w.Channel("/service/a"))
		assert.Equal(t, before-1, w.Stats().Channels)
		w.HandleService("/service/a", answer)
		time.Sleep(10 * time.Second)
		c := w.session()
		c.send(`{"channel":"/service/a","id":"1","clientId":"$"}`)
		assert.Equal(t, `"yes"`, string(c.expect("/service/a", "1").Data))
	})
}

func TestAMessageOnAChannelSweptUnderItsListenerStillArrives(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		w.Handle("/*", func(context.Context, *server.Session, *bayeux.Message) error { time.Sleep(8 * time.Second); return nil })
		go w.Publish(context.Background(), "/slow", 1)
		time.Sleep(6 * time.Second)
		assert.Nil(t, w.Channel("/slow"))
		c := w.session("/slow")
		assert.Equal(t, []string{"1"}, c.data(1))
	})
}

func TestAChannelIsInitializedBeforeAnybodyUsesIt(t *testing.T) {
	color := server.NewAttr[string]("color")
	everywhere(t, func(t *testing.T, w *world) {
		n := 0
		w.OnCreate("/room/*", func(ch *server.Channel) {
			n++
			color.Set(ch, ch.Name()+" is blue")
		})
		c := w.session("/room/1")
		got, _ := color.Get(w.Channel("/room/1"))
		assert.Equal(t, "/room/1 is blue", got)
		assert.Equal(t, c.id, w.Channel("/room/1").Creator().ID())
		w.session("/room/1")
		assert.Equal(t, 1, n)
		assert.Nil(t, w.Channel("/other"))
	})
}

// The sweep leaves a channel alone until it is used: else whoever waits would make it
// again, and its initializer would run again, without end.
func TestAChannelWhoseInitializerTakesItsTimeIsMadeOnce(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		var n atomic.Int32
		w.OnCreate("/a", func(*server.Channel) {
			if n.Add(1) < 5 {
				time.Sleep(10 * time.Second)
			}
		})
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		assert.EqualValues(t, 1, n.Load())
	})
}

func TestAnAttributeIsKeptUntilItIsDeleted(t *testing.T) {
	one, other := server.NewAttr[int]("n"), server.NewAttr[int]("n")
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		for _, x := range []server.Attributed{w.Session(c.id), w.Channel("/a")} {
			one.Delete(x) // nothing there
			one.Set(x, 1)
			other.Set(x, 2)
			one.Delete(x)
			_, ok := one.Get(x)
			assert.False(t, ok)
			n, ok := other.Get(x)
			assert.True(t, ok, "two of one name are two")
			assert.Equal(t, 2, n)
		}
	})
}

func TestSubscribeRacingTheEndOfItsSessionLeavesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		var wg sync.WaitGroup
		for i := range 20 {
			c := w.session()
			s := w.Session(c.id)
			wg.Go(func() { s.Disconnect() })
			wg.Go(func() { s.Subscribe(fmt.Sprint("/race/", i%3)) })
			wg.Go(func() { w.Publish(context.Background(), "/race/0", i) })
		}
		wg.Wait()
		for i := range 3 {
			assert.Zero(t, w.SubscriberCount(fmt.Sprint("/race/", i)))
		}
		w.wire[0].eventually(func() bool { return w.Stats().QueuedBytes == 0 })
	}, server.WithTiming(server.Timing{MaxInterval: 3 * time.Second})) // for that long a kick waits to be told
}

// An application that publishes on a spelling finds what it publishes to by it.
func TestAChannelIsFoundByEachSpellingThatReachesIt(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c := w.session("/a", "/a/*")
		for spelling, name := range map[string]string{"/a": "/a", "/a/": "/a", " /a ": "/a", "/a /": "/a", "/a/*": "/a/*", "/a/* ": "/a/*"} {
			assert.Equal(t, 1, w.SubscriberCount(spelling), "%q", spelling)
			assert.Equal(t, []*server.Session{w.Session(c.id)}, slices.Collect(w.Subscribers(spelling)), "%q", spelling)
			if ch := w.Channel(spelling); assert.NotNil(t, ch, "%q", spelling) {
				assert.Equal(t, name, ch.Name())
			}
		}
		for _, none := range []string{"", "a", "/a//", "/b", "/meta/connect"} {
			assert.Zero(t, w.SubscriberCount(none), "%q", none)
			assert.Empty(t, slices.Collect(w.Subscribers(none)), "%q", none)
			assert.Nil(t, w.Channel(none), "%q", none)
		}
	})
}
