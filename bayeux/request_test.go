package bayeux

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRequestsAreWhatTheWireWants(t *testing.T) {
	for want, make := range map[string]func() (*Message, error){
		`{"channel":"/meta/handshake","version":"1.0","minimumVersion":"1.0","supportedConnectionTypes":["websocket","long-polling"]}`: func() (*Message, error) {
			return NewHandshake(WebSocket, LongPolling, WebSocket)
		},
		`{"channel":"/meta/connect","clientId":"c1","connectionType":"websocket"}`: func() (*Message, error) {
			return NewConnect("c1", WebSocket)
		},
		`{"channel":"/meta/subscribe","clientId":"c1","subscription":"/foo"}`: func() (*Message, error) {
			return NewSubscribe("c1", "/foo", "/foo/", "/foo")
		},
		`{"channel":"/meta/subscribe","clientId":"c1","subscription":["/foo/**","/topic/T?F='x'"]}`: func() (*Message, error) {
			return NewSubscribe("c1", "/foo/**", "/topic/T?F='x'", "/foo/**")
		},
		`{"channel":"/meta/unsubscribe","clientId":"c1","subscription":"/foo/*"}`: func() (*Message, error) {
			return NewUnsubscribe("c1", "/foo/*")
		},
		`{"channel":"/meta/disconnect","clientId":"c1"}`: func() (*Message, error) {
			return NewDisconnect("c1")
		},
		`{"channel":"/foo","clientId":"c1","data":null}`: func() (*Message, error) {
			return NewPublish("c1", "/foo/", nil)
		},
	} {
		m, err := make()
		require.NoError(t, err)
		assert.JSONEq(t, want, write(t, m))
	}
}

func TestWrongRequestsSayWhatIsWrong(t *testing.T) {
	for want, make := range map[string]func() (*Message, error){
		"handshake offers no connection type":         func() (*Message, error) { return NewHandshake() },
		"connection type is empty":                    func() (*Message, error) { return NewHandshake("") },
		"connection type has an illegal character":    func() (*Message, error) { return NewHandshake("web socket") },
		"clientId is empty":                           func() (*Message, error) { return NewConnect("", WebSocket) },
		"clientId has an illegal character":           func() (*Message, error) { return NewDisconnect("a\nb") },
		"connection type is empty: ":                  func() (*Message, error) { return NewConnect("c1", "") },
		"subscribe names no channel":                  func() (*Message, error) { return NewSubscribe("c1") },
		"unsubscribe names no channel":                func() (*Message, error) { return NewUnsubscribe("c1") },
		"channel has an empty segment: /a//b":         func() (*Message, error) { return NewSubscribe("c1", "/ok", "/a//b") },
		"subscribe of a meta channel: /meta/**":       func() (*Message, error) { return NewSubscribe("c1", "/meta/**") },
		"publish to a wildcard: /a/*":                 func() (*Message, error) { return NewPublish("c1", "/a/*", 1) },
		"publish to a meta channel: /meta/x":          func() (*Message, error) { return NewPublish("c1", "/meta/x", 1) },
		"channel does not begin with a slash: foo":    func() (*Message, error) { return NewPublish("c1", "foo", 1) },
		"data for /a: not valid JSON: {":              func() (*Message, error) { return NewPublish("c1", "/a", []byte("{")) },
		"clientId is empty: ":                         func() (*Message, error) { return NewPublish("", "/a", 1) },
		"channel has an illegal character at 2: \"/a": func() (*Message, error) { return NewPublish("c1", "/a\n", 1) },
	} {
		m, err := make()
		assert.Nil(t, m)
		assert.ErrorContains(t, err, want)
		assert.True(t, strings.HasPrefix(err.Error(), "bayeux: "), err)
	}
}
