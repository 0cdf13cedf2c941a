package ackserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// A wire speaks raw messages, as a reference client would.
type wire struct {
	t    *testing.T
	conn transport.Conn
	in   chan string
	id   string
}

func open(t *testing.T, d transport.Dialer) *wire {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	conn, err := d.Dial(context.Background(), &transport.Target{URL: &url.URL{Scheme: "http", Host: "t"}, HTTP: &http.Client{Jar: jar}})
	require.NoError(t, err)
	w := &wire{t: t, conn: conn, in: make(chan string, 1000)}
	go func() {
		for {
			r, err := conn.Receive()
			if err != nil {
				close(w.in)
				return
			}
			var ms []json.RawMessage
			if json.NewDecoder(r).Decode(&ms) == nil {
				for _, m := range ms {
					w.in <- string(m)
				}
			}
		}
	}()
	return w
}

func (w *wire) send(text string) {
	text = strings.ReplaceAll(text, "$", w.id)
	w.conn.Send(&transport.Payload{Messages: [][]byte{[]byte(text)}})
	synctest.Wait()
}

// got is all that came, in the codec's own order of fields.
func (w *wire) got() (all []string) {
	synctest.Wait()
	for {
		select {
		case text := <-w.in:
			m := new(bayeux.Message)
			require.NoError(w.t, m.UnmarshalJSON([]byte(text)))
			m.Advice = nil
			out, err := codec.AppendMessage(nil, m)
			require.NoError(w.t, err)
			all = append(all, string(out))
		default:
			return all
		}
	}
}

func newServer(t *testing.T, opts ...ackserver.Option) *server.Server {
	srv, err := server.New(server.WithExtension(ackserver.New(opts...)))
	require.NoError(t, err)
	return srv
}

// The exchange of docs/protocol.md §16: a socket dies before the client saw the
// reply that acknowledges an event, and two more come meanwhile.
func TestTheReferencesExchangeWordForWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t)
		defer srv.Close()
		d := memory.NewDialer(srv.ServeConn)
		a := open(t, d)
		a.send(`{"id":"1","channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["websocket"],"ext":{"ack":true}}`)
		h := <-a.in
		assert.Contains(t, h, `"ext":{"ack":true}`)
		m := new(bayeux.Message)
		require.NoError(t, m.UnmarshalJSON([]byte(h)))
		a.id = m.ClientID

		a.send(`{"id":"2","channel":"/meta/connect","clientId":"$","connectionType":"websocket","advice":{"timeout":0},"ext":{"ack":0}}`)
		a.send(`{"id":"3","channel":"/meta/subscribe","clientId":"$","subscription":"/foo"}`)
		assert.Equal(t, []string{
			`{"channel":"/meta/connect","id":"2","successful":true,"ext":{"ack":1}}`,
			`{"channel":"/meta/subscribe","id":"3","successful":true,"subscription":"/foo","ext":{}}`,
		}, a.got())
		a.send(`{"id":"4","channel":"/meta/connect","clientId":"$","connectionType":"websocket","ext":{"ack":1}}`)
		srv.Publish(t.Context(), "/foo", "live1")
		assert.Equal(t, []string{
			`{"channel":"/foo","data":"live1"}`,
			`{"channel":"/meta/connect","id":"4","successful":true,"ext":{"ack":2}}`,
		}, a.got())
		a.conn.Close(transport.GoingAway)
		srv.Publish(t.Context(), "/foo", "away1")
		srv.Publish(t.Context(), "/foo", "away2")

		b := open(t, d)
		b.id = a.id
		b.send(`{"id":"5","channel":"/meta/connect","clientId":"$","connectionType":"websocket","advice":{"timeout":0},"ext":{"ack":1}}`)
		assert.Equal(t, []string{
			`{"channel":"/foo","data":"live1"}`,
			`{"channel":"/foo","data":"away1"}`,
			`{"channel":"/foo","data":"away2"}`,
			`{"channel":"/meta/connect","id":"5","successful":true,"ext":{"ack":3}}`,
		}, b.got())
		b.send(`{"id":"6","channel":"/meta/connect","clientId":"$","connectionType":"websocket","ext":{"ack":3}}`)
		srv.Publish(t.Context(), "/foo", "after")
		assert.Equal(t, []string{
			`{"channel":"/foo","data":"after"}`,
			`{"channel":"/meta/connect","id":"6","successful":true,"ext":{"ack":4}}`,
		}, b.got())
		b.conn.Close(transport.GoingAway)
	})
}

// A connect that acknowledges an old batch is answered at once, though it may
// be held.
func TestWhatWasLostIsSentAtOnceNotAfterTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t)
		defer srv.Close()
		a := open(t, memory.NewDialer(srv.ServeConn))
		a.shake(`"ack":true`)
		a.connect(`{"timeout":0}`, 0)
		a.connect(`{}`, 1)
		srv.Session(a.id).Send("/foo", 1)
		a.got()
		a.connect(`{}`, 1) // the answer was lost
		assert.Equal(t, []string{
			`{"channel":"/foo","data":1}`,
			`{"channel":"/meta/connect","successful":true,"ext":{"ack":3}}`,
		}, a.got())
		a.conn.Close(transport.GoingAway)
	})
}

func (w *wire) shake(ext string) string {
	w.send(`{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["websocket"],"ext":{` + ext + `}}`)
	m := new(bayeux.Message)
	text := <-w.in
	require.NoError(w.t, m.UnmarshalJSON([]byte(text)))
	w.id = m.ClientID
	return string(m.Ext["ack"])
}

func (w *wire) connect(advice string, n int) {
	m := bayeux.Message{Channel: bayeux.MetaConnect, ClientID: w.id, ConnectionType: "websocket"}
	require.NoError(w.t, json.Unmarshal([]byte(advice), &m.Advice))
	require.NoError(w.t, m.Ext.Set("ack", n))
	text, err := codec.AppendMessage(nil, &m)
	require.NoError(w.t, err)
	w.send(string(text))
}

func TestOnlyWhoAsksGetsWhatItAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t)
		defer srv.Close()
		for offer, answer := range map[string]string{
			``:                              ``,
			`"ack":false`:                   ``,
			`"ack":"true"`:                  ``,
			`"ack":true`:                    `true`,
			`"ack.numbers":true`:            ``,
			`"ack":true,"ack.numbers":true`: `{"enabled":true,"numbers":true,"window":65536}`,
		} {
			w := open(t, memory.NewDialer(srv.ServeConn))
			assert.Equal(t, answer, w.shake(offer), offer)
			w.conn.Close(transport.GoingAway)
		}
	})
}

func TestHostileAcknowledgementsDoNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t)
		defer srv.Close()
		for _, offer := range []string{`"ack":true`, `"ack":true,"ack.numbers":true`} {
			w := open(t, memory.NewDialer(srv.ServeConn))
			w.shake(offer)
			w.connect(`{"timeout":0}`, 0)
			w.got()
			for _, n := range []string{`-1`, `99999999999999999999`, `18446744073709551615`, `"x"`, `{}`, `null`, `1e3`, `1000`} {
				w.send(`{"channel":"/meta/connect","clientId":"$","advice":{"timeout":0},"ext":{"ack":` + n + `}}`)
				w.send(`{"channel":"/service/ack","clientId":"$","data":` + n + `}`)
				assert.Len(t, w.got(), 2, n)
			}
			srv.Session(w.id).Send("/foo", 1)
			w.connect(`{"timeout":0}`, 0)
			assert.Contains(t, w.got(), `{"channel":"/foo","data":1}`)
			w.conn.Close(transport.GoingAway)
		}
	})
}

// Messages wait for a client that has asked for numbers and does not say on its
// connection what it has. Nothing else does: it gets its replies, and a session
// that says nothing more expires.
func TestWhoDoesNotCountGetsRepliesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t)
		defer srv.Close()
		w := open(t, memory.NewDialer(srv.ServeConn))
		w.shake(`"ack":true,"ack.numbers":true`)
		w.send(`{"channel":"/meta/subscribe","clientId":"$","subscription":"/foo"}`)
		srv.Session(w.id).Send("/foo", 1)
		assert.Equal(t, []string{`{"channel":"/meta/subscribe","successful":true,"subscription":"/foo","ext":{}}`}, w.got())
		w.send(`{"channel":"/foo","id":"1","clientId":"$","data":2}`)
		assert.Equal(t, []string{`{"channel":"/foo","id":"1","successful":true}`}, w.got())
		for range 2 {
			w.send(`{"channel":"/meta/connect","clientId":"$"}`)
		}
		time.Sleep(20 * time.Second)
		held := `{"channel":"/meta/connect","successful":true,"ext":{}}`
		assert.Equal(t, []string{held, held}, w.got())
		assert.Equal(t, 2, srv.Stats().Queued)
		w.connect(`{"timeout":0}`, 0)
		assert.Contains(t, w.got(), `{"channel":"/foo","data":2}`)
		assert.Zero(t, srv.Stats().Queued, "what was sent does not wait")
		w.send(`{"channel":"/service/ack","clientId":"$","data":1}`)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Zero(t, srv.Stats().Sessions)
		w.conn.Close(transport.GoingAway)
	})
}

func TestWhatCannotBeMeantPanics(t *testing.T) {
	for _, n := range []int{0, -1} {
		assert.PanicsWithValue(t, fmt.Sprintf("ackserver: grace is not positive: %v", time.Duration(n)), func() { ackserver.WithGrace(time.Duration(n)) })
		assert.PanicsWithValue(t, fmt.Sprintf("ackserver: window is not positive: %d", n), func() { ackserver.WithWindow(n) })
		assert.PanicsWithValue(t, fmt.Sprintf("ackserver: messages is not positive: %d", n), func() { ackserver.WithMessages(n) })
	}
}
