package hostile_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/server"
)

// harmless checks that a browser runs nothing of an answer, and that a terminal
// does not either.
func harmless(t testing.TB, name string, h http.Header, body string) {
	t.Helper()
	kind := h.Get("Content-Type")
	assert.True(t, strings.HasPrefix(kind, "application/json") || strings.HasPrefix(kind, "text/plain"), "%.200s: %q", name, kind)
	assert.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), "%.200s", name)
	assert.NotContains(t, body, "\x1b", name)
	for _, r := range strings.TrimSuffix(body, "\n") {
		if unicode.IsControl(r) {
			t.Errorf("%.200s: control character %U in %q", name, r, body)
			return
		}
	}
}

const evil = "<script>alert(1)</script>\u2028\x1b[31m\u0007"

func TestAnswersRunNothingOfWhatTheyQuote(t *testing.T) {
	x := attack(t)
	quoted := fmt.Sprintf("%q", evil)
	quoted = strings.NewReplacer(`\x1b`, `\u001b`, `\a`, `\u0007`).Replace(quoted)
	for _, body := range []string{
		`[{"channel":` + quoted + `}]`,
		`[{"channel":"/meta/subscribe","id":"1","subscription":` + quoted + `}]`,
		`[{"channel":"/meta/handshake","id":` + quoted + `}]`,
		`[{"channel":"/a",` + quoted + `:1,` + quoted + `:2}]`,
		`[` + evil + `]`, evil,
	} {
		_, header, text := x.exchange(body)
		harmless(t, body, header, text)
	}
	for _, head := range []string{
		"Origin: http://<script>\u2028</script>\r\n",
		"Content-Type: text/html; charset=<script>\r\n",
		"Content-Encoding: <script>\r\n",
	} {
		r := x.dial()
		r.say("POST /cometd/<script> HTTP/1.1\r\nHost: %s\r\nContent-Length: 2\r\n%s\r\n[]", x.addr, head)
		status, header, text := r.answer()
		assert.GreaterOrEqual(t, status, 400)
		harmless(t, head, header, text)
		r.Close()
	}
	for _, callback := range []string{"<script>", "alert(1)", "a;b", "a\u2028", strings.Repeat("a", 65), ""} {
		r := x.dial()
		r.say("GET /cometd?jsonp=%s&message=[] HTTP/1.1\r\nHost: %s\r\n\r\n", url.QueryEscape(callback), x.addr)
		status, header, text := r.answer()
		assert.Equal(t, 400, status, text)
		harmless(t, callback, header, text)
		r.Close()
	}
	r := x.dial()
	r.say("GET /cometd?jsonp=cb&message=%s HTTP/1.1\r\nHost: %s\r\n\r\n", url.QueryEscape(`[{"channel":"/meta/subscribe","id":"1","subscription":"</script>`+"\u2028"+`"}]`), x.addr)
	status, header, text := r.answer()
	assert.Equal(t, 200, status)
	assert.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
	assert.NotContains(t, text, "\u2028")
	r.Close()
	x.over()
}

// Values are for the log's handler to escape; what it may write as it is, messages
// and names, has nothing of a peer's in it.
func TestALineOfTheLogIsOneLineWhateverPeersSend(t *testing.T) {
	const peers = "xyzzy" // in all that peers say
	x := attack(t, server.WithPolicy(server.Policy{
		Subscribe: func(_ context.Context, _ *server.Session, ch string, m *bayeux.Message) error {
			if ch == "/healthy" {
				return nil
			}
			return errors.New("no: " + string(m.Ext["why"]))
		},
	}))
	s := x.joined("User-Agent: \t"+evil[:20]+peers, "X-Forwarded-For: a b "+peers)
	s.asks(`[{"channel":"/meta/subscribe","id":"2","clientId":"$","subscription":"/`+peers+`","ext":{"why":"\u001b[2J\r\nlevel=ERROR msg=forged `+peers+`"}}]`, "2")
	s.asks(`[{"channel":"/meta/subscribe","id":"`+peers+`","clientId":"$","subscription":"/`+peers+`/*/a"}]`, peers)
	x.exchange(handshake, "Origin: https://"+peers+".test")
	s.text(`[{"channel":"/` + peers + `","\u001b[2J":1,"\u001b[2J":"\r\nlevel=ERROR ` + peers + `"}]`)
	s.text("[\x1b[2J\r\nlevel=ERROR msg=forged " + peers + "]")
	s.closing()
	x.over()
	require.Contains(t, x.log.String(), peers, "it is in the log, or nothing of this would say anything")
	words := x.log.spelled()
	assert.Greater(t, len(words), 5)
	for _, word := range words {
		assert.Regexp(t, `^[A-Za-z][A-Za-z0-9 _,':/-]*$`, word, "a message or a name of the log")
		assert.NotContains(t, word, peers)
	}
	for line := range strings.Lines(x.log.String()) {
		assert.True(t, strings.HasPrefix(line, "time="), "%q", line)
		for _, r := range strings.TrimSuffix(line, "\n") {
			require.False(t, unicode.IsControl(r), "%q", line)
		}
	}
}

// What a client trusts a server with is in no log, at any level, of either end.
func TestSecretsAreNotLogged(t *testing.T) {
	x := attack(t, server.WithPolicy(server.Policy{
		Handshake: func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
			if string(m.Ext["token"]) == `"hunter3"` {
				return errors.New("wrong token")
			}
			return nil
		},
	}))
	x.planted = `panic="at the disco"`
	x.HandleService("/service/panic", func(context.Context, *server.Session, *bayeux.Message) (any, error) { panic("at the disco") })
	x.before = x.before.max(x.use())
	own := &journal{}
	c, err := cometd.Dial(t.Context(), x.url(),
		client.WithAccessToken(client.Bearer("hunter1")), client.WithTokenExt("token"),
		client.WithHeader("Cookie", "login=hunter2"),
		client.WithLogger(slog.New(slog.NewTextHandler(own, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	require.NoError(t, err)
	_, err = c.Call(t.Context(), "/service/panic", "hunter4")
	assert.Error(t, err)
	id := c.ID()
	c.Close()
	<-c.Done()
	x.abandons()
	for _, header := range []string{"Authorization: Bearer hunter1", "Cookie: login=hunter2; BAYEUX_BROWSER=hunter5"} {
		s := x.shaken(header)
		s.text(`[{"channel":"/meta/connect","id":"2","clientId":"hunter6"}]`)
		s.text(`[{"channel":"/meta/handshake","id":"3","ext":{"token":"hunter3"}}]`)
		s.text(`[{"channel":"/a","data":"hunter7"`)
		s.closing()
	}
	x.over()
	for name, log := range map[string]string{"server": x.log.String(), "client": own.String()} {
		assert.NotEmpty(t, log, name)
		assert.NotContains(t, log, "hunter", name)
		assert.NotContains(t, log, id, "%s: whoever knows the id may be the session", name)
	}
}
