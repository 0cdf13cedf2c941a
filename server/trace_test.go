package server_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/ext/timesync/timesyncserver"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/wsserver"
)

// better says where a transcript of the reference server shows what
// docs/protocol.md tells a server not to do, what this one does, and why.
var better = map[string]struct {
	status int      // 0: as there
	want   []string // the messages
	why    string
}{
	"hs + other msg":                       {200, []string{`{"channel":"/meta/handshake","id":"1","version":"1.0","minimumVersion":"1.0","successful":true,"supportedConnectionTypes":["websocket","long-polling","callback-polling"],"advice":{"reconnect":"retry","interval":0,"timeout":3000}}`}, "§3.1: process the handshake, ignore the rest"},
	"subscribe /a/*/b":                     {200, []string{`{"channel":"/meta/subscribe","id":"5","subscription":"/a/*/b","error":"403::subscription_invalid","successful":false}`}, "§2: no 500"},
	"subscribe /a//b":                      {200, []string{`{"channel":"/meta/subscribe","id":"5","subscription":"/a//b","error":"403::subscription_invalid","successful":false}`}, "§2: no 500"},
	"subscribe []":                         {200, []string{`{"channel":"/meta/subscribe","id":"5","subscription":[],"error":"403::subscription_missing","successful":false}`}, "§3.3: every reply says whether it was successful"},
	"publish to wildcard":                  {200, []string{`{"channel":"/foo/*","id":"9","error":"405::channel_invalid","successful":false}`}, "§2: refuse it"},
	"empty array":                          {400, nil, "§21.11: illegal input is never a 500"},
	"form":                                 {200, []string{`{"data":1,"channel":"/foo"}`, `{"channel":"/foo","id":"11","successful":true}`}, "§9: the form of the specification is understood"},
	"connect + publish in one POST":        {200, []string{`{"data":9,"channel":"/foo"}`, `{"channel":"/foo","id":"13","successful":true}`, `{"channel":"/meta/connect","id":"12","successful":true}`}, "§21.2: the connect reply comes last"},
	"second tab":                           {200, []string{`{"advice":{"multiple-clients":true,"interval":2000,"reconnect":"retry","timeout":3000},"channel":"/meta/connect","id":"3","successful":true}`}, "§5: always the full triple"},
	"websocket.txt 20":                     {0, []string{`{"data":"while away","channel":"/foo"}`, `{"data":"after reopen","channel":"/foo"}`, `{"channel":"/foo","id":"20","successful":true}`}, "§8: nothing is lost on a dead socket"},
	"websocket.txt bad":                    {1007, nil, "§21.11: bad JSON is 1007"},
	"websocket.txt both":                   {0, []string{`{"channel":"/meta/handshake","id":"1","version":"1.0","minimumVersion":"1.0","successful":true,"supportedConnectionTypes":["websocket","long-polling","callback-polling"],"advice":{"reconnect":"retry","interval":0,"timeout":3000}}`}, "§3.1: process the handshake, ignore the rest"},
	"websocket.txt empty":                  {0, nil, "§21.13: tolerate [] as a keep-alive"},
	"socket-loss.txt timeout of type text": {200, []string{`{"channel":"/meta/connect","id":"4","successful":true,"advice":{"reconnect":"retry","interval":0,"timeout":3000}}`}, "§3.2: ignore it"},
	"ack.txt timeout of type text":         {200, []string{`{"channel":"/meta/connect","id":"4","successful":true,"advice":{"reconnect":"retry","interval":0,"timeout":3000},"ext":{"ack":3}}`}, "§3.2: ignore it"},
}

// A replay plays the part of the client in a transcript. Where that has 3
// seconds there are 300 ms here.
type replay struct {
	t    *testing.T
	srv  *server.Server
	http *httptest.Server
	file string
	jars map[string]*http.Client
	ids  map[string]string // theirs → ours

	ws      *websocket.Conn
	sockets []*websocket.Conn
	name    string // of the socket
	in      []message
	status  int
}

type message map[string]any

func newReplay(t *testing.T, file string, opts ...server.Option) *replay {
	opts = append([]server.Option{
		server.WithTransports(wsserver.NewAcceptor(), longpoll.NewAcceptor(longpoll.WithForm(true)), longpoll.NewCallbackAcceptor()),
		server.WithTiming(server.Timing{Timeout: time.Second, MaxInterval: 2 * time.Second, Sweep: 100 * time.Millisecond}),
	}, opts...)
	srv, err := server.New(opts...)
	require.NoError(t, err)
	srv.HandleService("/service/kick", func(_ context.Context, s *server.Session, _ *bayeux.Message) (any, error) {
		s.Disconnect()
		return server.NoAnswer, nil
	})
	srv.HandleService("/service/echo", func(_ context.Context, s *server.Session, m *bayeux.Message) (any, error) {
		return server.NoAnswer, s.Send(m.Channel, m.Data)
	})
	r := &replay{t: t, srv: srv, http: httptest.NewServer(srv), file: file, jars: map[string]*http.Client{}, ids: map[string]string{}}
	t.Cleanup(func() {
		for _, ws := range r.sockets {
			ws.CloseNow()
		}
		for _, c := range r.jars {
			c.CloseIdleConnections()
		}
		srv.Close()
		r.http.Close()
	})
	return r
}

func (r *replay) lines() []string {
	text, err := os.ReadFile("testdata/traces/" + r.file)
	require.NoError(r.t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func (r *replay) client(jar string) *http.Client {
	if r.jars[jar] == nil {
		c := &http.Client{Transport: &http.Transport{}}
		if jar != "nobody" {
			c.Jar, _ = cookiejar.New(nil)
		}
		r.jars[jar] = c
	}
	return r.jars[jar]
}

// ours puts our ids in the place of theirs.
func (r *replay) ours(payload string) string {
	for theirs, id := range r.ids {
		payload = strings.ReplaceAll(payload, `"`+theirs+`"`, `"`+id+`"`)
		payload = strings.ReplaceAll(payload, "%22"+theirs+"%22", "%22"+id+"%22")
	}
	return payload
}

// post sends one payload over HTTP.
func (r *replay) post(jar, payload, contentType string) (int, http.Header, string) {
	req, _ := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.http.URL, strings.NewReader(r.ours(payload)))
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := r.client(jar).Do(req)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	return resp.StatusCode, resp.Header, string(body)
}

// fresh makes a session over HTTP that has the place of theirs.
func (r *replay) fresh(theirs, jar string) {
	hs := `[{"channel":"/meta/handshake","id":"1","version":"1.0"}]`
	if r.file == "ack.txt" {
		hs = strings.Replace(hs, `}]`, `,"ext":{"ack":true}}]`, 1)
	}
	_, _, body := r.post(jar, hs, "application/json")
	r.ids[theirs] = parse(r.t, body)[0]["clientId"].(string)
}

func parse(t *testing.T, array string) (ms []message) {
	d := json.NewDecoder(strings.NewReader(array))
	d.UseNumber()
	require.NoError(t, d.Decode(&ms), array)
	return ms
}

// same compares what theirs and ours say, without the ids that each chose.
func (r *replay) same(want, got []message, about string) {
	r.t.Helper()
	require.Equal(r.t, len(want), len(got), "%s: want %v, got %v", about, want, got)
	for i, m := range want {
		if theirs, ok := m["clientId"].(string); ok {
			ours, ok := got[i]["clientId"].(string)
			require.True(r.t, ok, about)
			r.ids[theirs] = ours
		}
		delete(m, "clientId")
		delete(got[i], "clientId")
		if a, ok := m["advice"].(map[string]any); ok && a["timeout"] == json.Number("3000") {
			a["timeout"] = json.Number("1000")
		}
		assert.Equal(r.t, m, got[i], about)
	}
}

func (r *replay) open(name string) {
	ws, _, err := websocket.Dial(r.t.Context(), r.http.URL, nil)
	require.NoError(r.t, err)
	r.ws, r.name, r.in = ws, name, nil
	r.sockets = append(r.sockets, ws)
}

// take returns the next n messages of the socket or of the last answer.
func (r *replay) take(n int) []message {
	for len(r.in) < n && r.ws != nil {
		ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Second)
		_, b, err := r.ws.Read(ctx)
		cancel()
		require.NoError(r.t, err, "%s: waiting for %d messages", r.file, n)
		frame := parse(r.t, string(b))
		r.framed(frame)
		r.in = append(r.in, frame...)
	}
	n = min(n, len(r.in))
	got := r.in[:n:n]
	r.in = r.in[n:]
	return got
}

// framed holds what the protocol says of a frame, however many messages are in
// it: a handshake's reply is alone, and events come before replies
// (docs/protocol.md §8).
func (r *replay) framed(frame []message) {
	replies := false
	for _, m := range frame {
		if m["channel"] == bayeux.MetaHandshake {
			assert.Len(r.t, frame, 1, "%s: %v", r.file, frame)
		}
		if replies {
			assert.Contains(r.t, m, "successful", "%s: an event after a reply: %v", r.file, frame)
		}
		_, reply := m["successful"]
		replies = replies || reply
	}
}

// served are the extensions that cometd serve has: who does not ask for them
// sees nothing of them.
func served() server.Option { return server.WithExtension(ackserver.New(), timesyncserver.New(0)) }

func TestTheTranscriptsOfSocketsReplay(t *testing.T) {
	for name, opts := range map[string][]server.Option{
		"websocket.txt":                   nil,
		"socket-loss.txt":                 nil,
		"websocket.txt with extensions":   {served()},
		"socket-loss.txt with extensions": {served()},
		"ack.txt with extensions":         {served()},
	} {
		t.Run(name, func(t *testing.T) {
			file, _, _ := strings.Cut(name, " ")
			r := newReplay(t, file, opts...)
			var want []message
			last := ""
			for _, line := range append(r.lines(), "# end") {
				if m, ok := strings.CutPrefix(line, "< "); ok {
					want = append(want, parse(t, "["+m+"]")...)
					continue
				}
				if len(want) > 0 || betterFor(r, last) != nil {
					r.expect(want, last)
					want = nil
				}
				last = line
				r.do(line)
			}
		})
	}
}

// betterFor is what this server answers to a line, if not what is there.
func betterFor(r *replay, line string) []string {
	for key, b := range better {
		if file, id, _ := strings.Cut(key, " "); file == r.file && strings.HasPrefix(line, `> [{"id":"`+id+`"`) {
			return b.want
		}
	}
	return nil
}

// expect compares one group of messages. The order of replies to different
// requests is free; that of everything else is not.
func (r *replay) expect(want []message, after string) {
	r.t.Helper()
	if b := betterFor(r, after); b != nil {
		want = parse(r.t, "["+strings.Join(b, ",")+"]")
	}
	got := r.take(len(want))
	for i, m := range want { // bring ours into their order, where only replies differ
		for j := i + 1; j < len(got); j++ {
			if got[i]["id"] != m["id"] && got[j]["id"] == m["id"] && m["id"] != nil && got[i]["data"] == nil {
				got[i], got[j] = got[j], got[i]
			}
		}
	}
	r.same(want, got, r.file+" after "+after)
}

// do does what a line says.
func (r *replay) do(line string) {
	kind, rest, _ := strings.Cut(line, " ")
	if kind == ">" {
		require.NoError(r.t, r.ws.Write(r.t.Context(), websocket.MessageText, []byte(r.ours(rest))))
		return
	}
	if kind != "!" {
		return
	}
	verb, rest, _ := strings.Cut(rest, " ")
	first, second, _ := strings.Cut(rest, " ")
	switch verb {
	case "open":
		r.open(first)
	case "cut":
		r.ws.CloseNow()
		require.Eventually(r.t, func() bool { return r.srv.Stats().Conns == 0 }, 5*time.Second, time.Millisecond)
	case "publish":
		require.NoError(r.t, r.srv.Publish(r.t.Context(), first, []byte(second)))
	case "held":
		require.Eventually(r.t, func() bool {
			for s := range r.srv.Sessions() {
				if s.Holds(first) {
					return true
				}
			}
			return false
		}, 5*time.Second, time.Millisecond)
	case "fresh":
		r.fresh(first, second)
	case "expired":
		require.Eventually(r.t, func() bool { return r.srv.Session(r.ids[first]) == nil }, 10*time.Second, 10*time.Millisecond)
	case "post":
		var body string
		r.status, _, body = r.post(first, second, "application/json")
		r.ws, r.in = nil, parse(r.t, body)
	case "status":
		b := better[r.file+" timeout of type text"]
		assert.Equal(r.t, b.status, r.status)
		r.same(parse(r.t, "["+strings.Join(b.want, ",")+"]"), r.in, b.why)
	case "closed":
		r.closed()
	case "subprotocol":
		ws, resp, err := websocket.Dial(r.t.Context(), r.http.URL, &websocket.DialOptions{Subprotocols: []string{first}})
		require.NoError(r.t, err)
		assert.Empty(r.t, resp.Header.Get("Sec-WebSocket-Protocol"), "a browser gives up then")
		ws.CloseNow()
	default:
		require.FailNow(r.t, "unknown line", line)
	}
}

// closed is where the reference closes the socket.
func (r *replay) closed() {
	b := better[r.file+" "+r.name]
	require.NotEmpty(r.t, b.why)
	switch {
	case b.status != 0:
		_, _, err := r.ws.Read(r.t.Context())
		assert.Equal(r.t, websocket.StatusCode(b.status), websocket.CloseStatus(err), b.why)
		var ce websocket.CloseError
		require.ErrorAs(r.t, err, &ce)
		assert.NotEmpty(r.t, ce.Reason)
	case b.want != nil:
		r.same(parse(r.t, "["+strings.Join(b.want, ",")+"]"), r.take(len(b.want)), b.why)
	default: // the socket still works
		require.NoError(r.t, r.ws.Write(r.t.Context(), websocket.MessageText, []byte(`[{"channel":"/meta/connect","id":"x","clientId":"nope"}]`)))
		assert.Equal(r.t, "402::session_unknown", r.take(1)[0]["error"], b.why)
	}
}
