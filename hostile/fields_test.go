package hostile_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/server"
)

// Whatever stands in a field, on each channel and over each transport, there is
// an answer in Bayeux or a refusal: never a failure of the server, nor silence.
func TestAnyValueInAnyFieldIsAnswered(t *testing.T) {
	x := attack(t, server.WithTiming(server.Timing{Timeout: time.Minute, Sweep: sweep, MaxPause: brief})) // a client may ask for a pause
	values := []string{
		`5`, `-0`, `1e400`, `-1e400`, `1e-400`, strings.Repeat("9", 5000), `true`, `false`, `null`, `""`, `"x"`, `" "`, `"/"`, `"//"`, `"/**"`, `"/a/*/b"`,
		`"` + strings.Repeat("/x", 5000) + `"`, `"\u0000"`, `"\ud800"`, `"/a\r\nb"`, `"\u2028</script>"`, `[]`, `[[]]`, `[null]`, `["/a",5]`, `{}`, `{"x":{}}`,
		`{"timeout":1e400,"interval":-1e400,"reconnect":7}`, `{"timeout":-1,"interval":99999999999999999999}`, `{"timeout":"x","interval":[]}`,
	}
	fields := []string{
		"channel", "id", "clientId", "data", "version", "minimumVersion", "supportedConnectionTypes", "connectionType", "subscription", "advice", "ext",
		"successful", "error", "timestamp", "authSuccessful", "x-messages", "unknown",
	}
	channels := []string{"/meta/handshake", "/meta/connect", "/meta/subscribe", "/meta/unsubscribe", "/meta/disconnect", "/meta/other", "/a", "/service/a", "/*"}
	over := map[string]func(message func(id string) string){"a WebSocket": x.streaming(), "HTTP": x.posting()}
	for _, field := range fields {
		for _, value := range values {
			for _, ch := range channels {
				message := func(id string) string { return odd(ch, id, field, value) }
				for _, ask := range over {
					ask(message)
				}
				if field == "channel" {
					break // which it names itself
				}
			}
		}
	}
	x.over()
}

// odd writes a message that is good on any channel, but for one field, which is
// as it is given, JSON or not.
func odd(ch, id, field, value string) string {
	m := map[string]any{
		"channel": ch, "id": "z", "clientId": id, "subscription": "/a", "data": 1, "version": "1.0",
		"supportedConnectionTypes": []string{"websocket", "long-polling"}, "connectionType": "websocket",
	}
	delete(m, field)
	good, _ := json.Marshal(m)
	return fmt.Sprintf(`{%q:%s,%s`, field, value, good[1:])
}

// streaming gives a function that sends messages over one socket for as long as
// that lives, each with the id of a session of its own, and expects an answer to
// each, or the end of the socket with a code that blames its peer.
func (x *target) streaming() func(message func(id string) string) {
	var s *socket
	return func(message func(id string) string) {
		x.t.Helper()
		if s == nil {
			s = x.shaken()
		}
		text := message(s.id)
		s.text("[" + text + "]")
		f, err := Read(s.in)
		require.NoError(x.t, err, "%.200s: silence", text)
		if f.First == Fin|Close {
			assert.Contains(x.t, []int{1007, 1009}, f.Code(), "%.200s: %s", text, f.Payload)
			s.Close()
			s = nil
			return
		}
		assert.NotEmpty(x.t, replies(x, f.Payload), "%.200s: silence", text)
		s.id = s.asks(strings.Replace(handshake, `"1"`, `"next"`, 1), "next").ClientID // and the socket goes on
	}
}

// posting is streaming over HTTP, on one connection for as long as that lives.
func (x *target) posting() func(message func(id string) string) {
	var r *raw
	_, cookie := x.polling()
	post := func(body string) (status int, h http.Header, text string) {
		if r == nil {
			r = x.dial()
		}
		r.say("POST /cometd HTTP/1.1\r\nHost: %s\r\n%s\r\nContent-Length: %d\r\n\r\n%s", x.addr, cookie, len(body), body)
		status, h, text = r.answer()
		if h.Get("Connection") == "close" {
			r.Close()
			r = nil
		}
		return status, h, text
	}
	return func(message func(id string) string) {
		x.t.Helper()
		status, _, text := post(handshake)
		require.Equal(x.t, http.StatusOK, status, text)
		sent := message(replies(x, text)[0].ClientID)
		status, h, text := post("[" + sent + "]")
		assert.Contains(x.t, []int{200, 400, 413}, status, "%.200s: %s", sent, text)
		if status == http.StatusOK {
			assert.NotEmpty(x.t, replies(x, text), "%.200s: silence", sent)
		}
		harmless(x.t, sent, h, text)
	}
}
