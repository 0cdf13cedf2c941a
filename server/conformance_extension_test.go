package server_test

import (
	"context"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

type extensionFunc = func(context.Context, *server.Session, *bayeux.Message) error

func TestExtensionsRunInOrderInAndInReverseOut(t *testing.T) {
	var mu sync.Mutex
	var order []string
	ext := func(name string) server.Extension {
		note := func(dir string) extensionFunc {
			return func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
				if m.Channel == "/a" {
					mu.Lock()
					order = append(order, name+dir)
					mu.Unlock()
				}
				return nil
			}
		}
		return server.Extension{Name: name, Incoming: note(" in"), Outgoing: note(" out"), Deliver: note(" deliver")}
	}
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		w.Session(c.id).Extend(ext("own"))
		mu.Lock()
		order = nil
		mu.Unlock()
		c.ask(`{"channel":"/a","id":"p","clientId":"$","data":1}`)
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(t, []string{
			"one in", "two in", "own in",
			"two out", "one out", // the message, once
			"two deliver", "one deliver", "own deliver", // its copy for the subscriber
			"own out", "two out", "one out", // the reply
		}, order)
	}, server.WithExtension(ext("one"), ext("two")))
}

func TestAnExtensionForAnIllegalPatternIsRefused(t *testing.T) {
	for _, bad := range []string{"quotes", "/a//b", "/a/*/b", "/a/{id}", ""} {
		_, err := server.New(server.WithExtension(server.Extension{Name: "mine", Channels: []string{"/a", bad}}))
		assert.ErrorContains(t, err, `extension "mine": `, bad)
	}
	onBoth(t, func(t *testing.T, w *world) {
		s := w.Session(w.session().id)
		assert.Panics(t, func() { s.Extend(server.Extension{Channels: []string{"quotes"}}) })
		s.Extend(server.Extension{Channels: []string{"/meta/*", "/**"}})
	})
}

func TestAnExtensionMayDeleteAnswerAndChange(t *testing.T) {
	ext := server.Extension{
		Incoming: func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
			switch m.Channel {
			case "/deleted":
				return bayeux.Errorf(404, "message_deleted")
			case "/answered":
				return server.Answer(&bayeux.Message{Ext: bayeux.Ext{"by": []byte(`"me"`)}})
			case "/changed":
				return m.SetData("changed")
			case "/panics":
				panic("extension")
			}
			return nil
		},
	}
	next := server.Extension{Channels: []string{"/panics"}, Incoming: func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
		return m.SetData("the next one ran")
	}}
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/**")
		publish := func(ch string) *bayeux.Message {
			return c.ask(`{"channel":"` + ch + `","id":"p","clientId":"$","data":1}`)
		}
		assert.Equal(t, "404::message_deleted", publish("/deleted").Error)
		m := publish("/answered")
		assert.Equal(t, `"me"`, string(m.Ext["by"]))
		assert.Equal(t, bayeux.Succeeded, m.Outcome)
		publish("/changed")
		assert.Equal(t, []string{`"changed"`}, c.data(1))
		assert.Equal(t, bayeux.Succeeded, publish("/panics").Outcome)
		assert.Equal(t, []string{`"the next one ran"`}, c.data(1))
		c.quiet()
	}, server.WithExtension(ext, next))
}

func TestAPanicOnTheWayOutSpoilsNothing(t *testing.T) {
	boom := func(context.Context, *server.Session, *bayeux.Message) error { panic("out") }
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		c.ask(`{"channel":"/a","id":"p","clientId":"$","data":1}`)
		assert.Equal(t, []string{"1"}, c.data(1))
		if w.fake() {
			c.cut()
			time.Sleep(12 * time.Second)
			assert.Zero(t, w.Stats().Sessions, "no counter was left behind")
		}
	}, server.WithExtension(server.Extension{Outgoing: boom, Deliver: boom}))
}

func TestAnExtensionOfOneSessionRefusesAndDeletesForItAlone(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		muted, other := w.session(), w.session("/**")
		w.Session(muted.id).Extend(server.Extension{
			Channels: []string{"/a", "/b"},
			Incoming: func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
				if m.Channel == "/a" {
					return bayeux.Errorf(403, "muted")
				}
				return nil
			},
			Outgoing: func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
				if m.Channel == "/b" {
					return bayeux.Errorf(404, "message_deleted")
				}
				return nil
			},
		})
		assert.Equal(t, "403::muted", muted.ask(`{"channel":"/a","id":"1","clientId":"$","data":1}`).Error)
		muted.send(`{"channel":"/b","id":"2","clientId":"$","data":2}`, `{"channel":"/c","id":"3","clientId":"$","data":3}`)
		assert.Equal(t, bayeux.Succeeded, muted.expect("/c", "3").Outcome)
		for _, m := range muted.passed {
			assert.NotEqual(t, "/b", m.Channel, "its reply is deleted, and was before this one")
		}
		assert.Equal(t, []string{"2", "3"}, other.data(2))
		for _, ch := range []string{"/a", "/b"} {
			assert.Equal(t, bayeux.Succeeded, other.ask(`{"channel":"`+ch+`","id":"4","clientId":"$","data":4}`).Outcome)
		}
	})
}

func TestAPublisherWithoutEchoGetsNoCopyOfItsOwnEither(t *testing.T) {
	copied := func(_ context.Context, _ *server.Session, m *bayeux.Message) error { return m.Ext.Set("copy", true) }
	everywhere(t, func(t *testing.T, w *world) {
		require.NoError(t, w.Configure("/a", server.ChannelOptions{NoEcho: true}))
		publisher, other := w.session("/a"), w.session("/a")
		publisher.ask(`{"channel":"/a","id":"1","clientId":"$","data":1}`)
		publisher.quiet()
		m := other.events(1)[0]
		assert.Equal(t, "1", string(m.Data))
		assert.Equal(t, "true", string(m.Ext["copy"]))
	}, server.WithExtension(server.Extension{Channels: []string{"/a"}, Deliver: copied}))
}

func TestAnExtensionThatDeletesRepliesDoesNotKeepSessionsAlive(t *testing.T) {
	silent := server.Extension{Channels: []string{bayeux.MetaConnect}, Outgoing: func(context.Context, *server.Session, *bayeux.Message) error {
		return bayeux.Errorf(404, "message_deleted")
	}}
	onBoth(t, func(t *testing.T, w *world) {
		c := w.client()
		c.handshake()
		c.connect("1")
		time.Sleep(12 * time.Second)
		assert.Zero(t, w.Stats().Sessions)
	}, server.WithExtension(silent))
}

func TestFiltersChangeOrRefuseWhatClientsPublish(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.Filter("/**", server.NoScripts())
		w.Filter("/html/*", server.NoMarkup())
		c := w.session("/**")
		c.ask(`{"channel":"/a","id":"1","clientId":"$","data":{"text":["<scr<script>ipt>x</script>",1.50,null]}}`)
		assert.Equal(t, []string{`{"text":["x",1.50,null]}`}, c.data(1))
		c.ask(`{"channel":"/html/a","id":"2","clientId":"$","data":"a < b"}`)
		assert.Equal(t, "a &lt; b", decode(t, c.data(1)[0]))
		require.NoError(t, w.Publish(t.Context(), "/html/a", "a < b"))
		assert.Equal(t, "a < b", decode(t, c.data(1)[0]), "the server is trusted")
	})
}

func TestReplaceLeavesNothingThatMatches(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.Filter("/grow/*", server.Replace(regexp.MustCompile(`aa|ba`), "xb"))
		w.Filter("/once/*", server.Replace(regexp.MustCompile(`a`), "aa"))
		w.Filter("/explode/*", server.Replace(regexp.MustCompile(`ab`), "bbaa"))
		w.Filter("/nested/*", server.NoScripts())
		c := w.session("/**")
		publish := func(ch, text string) string {
			return c.ask(`{"channel":"` + ch + `","id":"p","clientId":"$","data":"` + text + `"}`).Error
		}
		for ch, pair := range map[string][2]string{"/grow/a": {"aaa", "xxb"}, "/once/a": {"aba", "aabaa"}, "/explode/a": {"ab", "bbaa"}} {
			assert.Empty(t, publish(ch, pair[0]))
			assert.Equal(t, []string{`"` + pair[1] + `"`}, c.data(1), ch)
		}
		assert.Equal(t, "403::data_rejected", publish("/explode/a", strings.Repeat("a", 30)+strings.Repeat("b", 30)))
		deep := strings.Repeat("<scr", 10_000) + "<script>" + strings.Repeat("ipt>", 10_000)
		assert.Equal(t, "403::data_rejected", publish("/nested/a", deep), "each pass looks at all of it")
	})
}

func TestFiltersOfTheApplicationReachEveryString(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.Filter("/loud/*", server.Strings(func(s string) (string, error) {
			if s == "" {
				return "", bayeux.Errorf(400, "empty")
			}
			return strings.ToUpper(s), nil
		}))
		w.Filter("/clean/*", server.Reject(regexp.MustCompile(`(?i)darn`)))
		remove := w.Filter("/gone", server.Reject(regexp.MustCompile(``)))
		remove()
		c := w.session("/**")
		publish := func(ch, data string) string {
			return c.ask(`{"channel":"` + ch + `","id":"p","clientId":"$","data":` + data + `}`).Error
		}
		assert.Empty(t, publish("/loud/a", `{"k":["x",{"y":"z"}],"n":12345678901234567890}`))
		assert.Equal(t, []string{`{"k":["X",{"y":"Z"}],"n":12345678901234567890}`}, c.data(1), "keys and numbers stay")
		assert.Equal(t, "400::empty", publish("/loud/a", `["x",[""]]`))
		assert.Equal(t, "403::data_rejected", publish("/clean/a", `{"a":[1,"oh DARN it"]}`))
		assert.Empty(t, publish("/clean/a", `{"darn":"fine"}`))
		assert.Empty(t, publish("/gone", `"x"`))
		assert.Equal(t, []string{`{"darn":"fine"}`, `"x"`}, c.data(2))
		c.quiet()
	})
}

func TestAServiceAnswersItsCaller(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.HandleService("/service/echo", func(_ context.Context, _ *server.Session, m *bayeux.Message) (any, error) { return m.Data, nil })
		w.HandleService("/service/fail", func(context.Context, *server.Session, *bayeux.Message) (any, error) {
			return nil, &bayeux.Error{Code: 404, Message: "no_such_contact", Data: []byte(`{"id":7}`)}
		})
		w.HandleService("/service/boom", func(context.Context, *server.Session, *bayeux.Message) (any, error) { panic("boom") })
		w.HandleService("/service/quiet", func(context.Context, *server.Session, *bayeux.Message) (any, error) { return server.NoAnswer, nil })
		w.HandleService("/service/later", server.Parallel(2, func(context.Context, *server.Session, *bayeux.Message) (any, error) { return "later", nil }))
		w.HandleService("/service/add", server.Typed(func(_ context.Context, _ *server.Session, r struct{ A, B int }) (int, error) { return r.A + r.B, nil }))
		c := w.session()
		call := func(ch, data string) (result, ack *bayeux.Message) {
			c.send(`{"channel":"` + ch + `","id":"7","clientId":"$","data":` + data + `}`)
			for result == nil || ack == nil {
				switch m := c.wait(); {
				case m.Channel == bayeux.MetaConnect:
					c.connect("again")
				case m.Data != nil:
					result = m
				default:
					ack = m
				}
			}
			return result, ack
		}
		result, ack := call("/service/echo", `{"e":1}`)
		assert.Equal(t, `{"channel":"/service/echo","id":"7","data":{"e":1},"successful":true}`, encode(t, result))
		assert.Equal(t, bayeux.Succeeded, ack.Outcome)
		result, ack = call("/service/fail", `1`)
		assert.Equal(t, bayeux.Failed, result.Outcome)
		assert.Equal(t, `{"id":7}`, string(result.Data))
		assert.Equal(t, "404::no_such_contact", ack.Error)
		result, _ = call("/service/later", `1`)
		assert.Equal(t, `"later"`, string(result.Data))
		result, _ = call("/service/add", `{"A":1,"B":2}`)
		assert.Equal(t, `3`, string(result.Data))
		assert.Equal(t, "400::data_invalid", c.ask(`{"channel":"/service/add","id":"8","clientId":"$","data":"x"}`).Error)
		assert.Equal(t, "500::internal", c.ask(`{"channel":"/service/boom","id":"8","clientId":"$"}`).Error)
		assert.Equal(t, bayeux.Succeeded, c.ask(`{"channel":"/service/quiet","id":"9","clientId":"$"}`).Outcome)
		assert.Equal(t, bayeux.Succeeded, c.ask(`{"channel":"/service/none","id":"10","clientId":"$"}`).Outcome)
	})
}

// docs/protocol.md §2: /foo/ is /foo, also where a service answers.
func TestAServiceAnswersAlsoWithATrailingSlash(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.HandleService("/service/echo", func(_ context.Context, _ *server.Session, m *bayeux.Message) (any, error) { return m.Data, nil })
		c := w.session()
		c.send(`{"channel":"/service/echo/","id":"7","clientId":"$","data":"x"}`)
		var data []string
		for range 2 { // the result and the acknowledgement, both on the channel that was asked
			if m := c.expect("/service/echo/", "7"); m.Data != nil {
				data = append(data, string(m.Data))
			}
		}
		assert.Equal(t, []string{`"x"`}, data)
	})
}

func TestAPanicOrASlowCallLeavesOtherSessionsAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.Handle("/a", func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
			if string(m.Data) == "2" {
				panic("two")
			}
			return nil
		})
		w.HandleService("/service/slow", func(ctx context.Context, _ *server.Session, _ *bayeux.Message) (any, error) {
			time.Sleep(5 * time.Second)
			return nil, nil
		})
		c, other := w.session(), w.session("/a")
		// The first message makes others dirty, the second is slow: they must not wait.
		begin := time.Now()
		c.send(`{"channel":"/a","id":"1","clientId":"$","data":1}`, `{"channel":"/service/slow","id":"2","clientId":"$"}`)
		assert.Equal(t, []string{"1"}, other.data(1))
		assert.Less(t, time.Since(begin), time.Second)
		time.Sleep(6 * time.Second)
		c.send(`{"channel":"/a","id":"3","clientId":"$","data":3}`, `{"channel":"/a","id":"4","clientId":"$","data":2}`)
		assert.Equal(t, []string{"3"}, other.data(1), "nor lose their wake-up to a panic")
	})
}

func decode(t *testing.T, data string) (s string) {
	m := bayeux.Message{Data: []byte(data)}
	require.NoError(t, m.Decode(&s))
	return s
}

// The extension of one session sees what others publish for it, where nobody else
// looks at the message, and has a context then too.
func TestASessionsOwnDeliverHasAContextWhoeverPublishes(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c, other := w.session("/a"), w.session()
		seen := 0
		w.Session(c.id).Extend(server.Extension{Deliver: func(ctx context.Context, _ *server.Session, _ *bayeux.Message) error {
			assert.NoError(t, ctx.Err())
			seen++
			return nil
		}})
		other.ask(`{"channel":"/a","id":"p","clientId":"$","data":1}`)
		assert.Equal(t, []string{"1"}, c.data(1))
		assert.Equal(t, 1, seen)
	})
}

// An extension may use the server as soon as it has it.
func TestAnExtensionMayUseTheServerWhenItIsOpened(t *testing.T) {
	var done sync.WaitGroup
	opens := server.Extension{Name: "opens", Opened: func(srv *server.Server) {
		c := newWire(&world{Server: srv, t: t, typ: bayeux.WebSocket}, bayeux.WebSocket)
		conn, err := c.dialer.Dial(context.Background(), c.target)
		assert.NoError(t, err)
		begun := make(chan struct{})
		done.Go(func() {
			for i := range 200 {
				assert.NoError(t, conn.Send(rawPayload(`[{"channel":"/a","id":"1","clientId":"nobody"}]`)))
				r, err := conn.Receive()
				assert.NoError(t, err)
				_, err = io.Copy(io.Discard, r)
				assert.NoError(t, err)
				if i == 0 {
					close(begun)
				}
			}
		})
		<-begun
	}}
	srv, err := server.New(server.WithExtension(opens))
	require.NoError(t, err)
	done.Wait()
	srv.Close()
}
