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
	// In this order one session sees all of them.
	channels := []string{"/meta/connect", "/meta/subscribe", "/meta/unsubscribe", "/meta/other", "/a", "/service/a", "/*", "/meta/disconnect", "/meta/handshake"}
	stream, post := x.streaming(), x.posting()
	for _, field := range fields {
		for _, value := range values {
			var all []message
			for _, ch := range channels {
				all = append(all, odd(ch, field, value))
				if field == "channel" {
					break // whichever it was to be
				}
			}
			stream(all)
			post(all)
		}
	}
	x.over()
}

// A message waits for the id of a session.
type message func(id string) string

// odd is good on any channel, but for one field, which is as it is given, JSON or
// not.
func odd(ch, field, value string) message {
	return func(id string) string {
		m := map[string]any{
			"channel": ch, "id": "z", "clientId": id, "subscription": "/a", "data": 1, "version": "1.0",
			"supportedConnectionTypes": []string{"websocket", "long-polling"}, "connectionType": "websocket",
		}
		delete(m, field)
		good, _ := json.Marshal(m)
		return fmt.Sprintf(`{%q:%s,%s`, field, value, good[1:])
	}
}

// answers are the replies among what a server sends: events are none.
func answers(all []reply) (n int) {
	for _, r := range all {
		if r.Successful || r.Error != "" {
			n++
		}
	}
	return n
}

// streaming gives a function that sends messages of one session over a socket, one
// after the other, and expects to each an answer, or the end of the socket with a
// code that blames its peer. The socket is used as long as it lives.
func (x *target) streaming() func(all []message) {
	var s *socket
	answered := func(text string) bool {
		for {
			f, err := Read(s.in)
			require.NoError(x.t, err, "%.200s: silence", text)
			if f.First == Fin|Close {
				assert.Contains(x.t, []int{1007, 1009}, f.Code(), "%.200s: %s", text, f.Payload)
				return false
			}
			if answers(replies(x, f.Payload)) > 0 {
				return true
			}
		}
	}
	return func(all []message) {
		x.t.Helper()
		id := ""
		for _, m := range all {
			if s == nil {
				s, id = x.open(), ""
			}
			if id == "" {
				id = s.asks(handshake, "1").ClientID
			}
			text := m(id)
			s.SetDeadline(time.Now().Add(long))
			s.text("[" + text + "]")
			if !answered(text) {
				s.Close()
				s = nil
			}
		}
	}
}

// posting is streaming over HTTP.
func (x *target) posting() func(all []message) {
	var r *raw
	_, cookie := x.polling()
	post := func(body string) (status int, h http.Header, text string) {
		if r == nil {
			r = x.dial()
		}
		r.SetDeadline(time.Now().Add(long))
		r.say("POST /cometd HTTP/1.1\r\nHost: %s\r\n%s\r\nContent-Length: %d\r\n\r\n%s", x.addr, cookie, len(body), body)
		status, h, text = r.answer()
		if h.Get("Connection") == "close" {
			r.Close()
			r = nil
		}
		return status, h, text
	}
	return func(all []message) {
		x.t.Helper()
		status, _, text := post(handshake)
		require.Equal(x.t, http.StatusOK, status, text)
		id := replies(x, text)[0].ClientID
		for _, m := range all {
			sent := m(id)
			status, h, text := post("[" + sent + "]")
			assert.Contains(x.t, []int{200, 400, 413}, status, "%.200s: %s", sent, text)
			if status == http.StatusOK {
				assert.NotZero(x.t, answers(replies(x, text)), "%.200s: silence", sent)
			}
			harmless(x.t, sent, h, text)
		}
	}
}
