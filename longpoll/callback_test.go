package longpoll

import (
	"context"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/transport"
)

func get(a transport.Acceptor, query string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	a.Serve(w, httptest.NewRequest("GET", "/cometd?"+query, nil), &transport.Accept{Limit: 1000}, echo)
	return w
}

func TestCallbackPollingAnswersWithACall(t *testing.T) {
	w := get(NewCallbackAcceptor(), "jsonp=cb.x_1-Z&message="+url.QueryEscape(`[{"a":1}]`))
	assert.Equal(t, 200, w.Code)
	assert.Equal(t, `cb.x_1-Z([{"a":1}])`, w.Body.String())
	assert.Equal(t, "text/javascript;charset=UTF-8", w.Header().Get("Content-Type"))
	assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))

	w = get(NewCallbackAcceptor(), "jsonp=f&message=%5B1%5D&message=2")
	assert.Equal(t, `f([1,2])`, w.Body.String())

	w = get(NewCallbackAcceptor(), "jsonp=f&message="+url.QueryEscape("[\"\u2028\u2029\"]"))
	assert.Equal(t, `f(["\u2028\u2029"])`, w.Body.String())

	w = get(NewCallbackAcceptor(WithCallback("cb", 3)), "cb=abc&message=%5B1%5D")
	assert.Equal(t, `abc([1])`, w.Body.String())
}

// A GET has no body, so that net/http may see the end of its client's direction before
// anybody has looked at the request.
func TestARequestIsReadThoughItsClientSaysNoMore(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	NewCallbackAcceptor().Serve(w, httptest.NewRequest("GET", "/cometd?jsonp=f&message=%5B1%5D", nil).WithContext(over), &transport.Accept{Limit: 1000}, echo)
	assert.Equal(t, 200, w.Code)
	assert.Equal(t, "f([1])", w.Body.String())
}

func TestCallbackPollingRefusesWhatIsNoCall(t *testing.T) {
	for _, query := range []string{
		"message=%5B1%5D",
		"jsonp=&message=%5B1%5D",
		"jsonp=a&jsonp=b&message=%5B1%5D",
		"jsonp=a%3Balert(1)&message=%5B1%5D",
		"jsonp=%3Cscript%3E&message=%5B1%5D",
		"jsonp=" + strings.Repeat("a", 65) + "&message=%5B1%5D",
		"jsonp=a",
		"jsonp=a&message=%zz",
		"jsonp=a&message=%5B1&message=2",
	} {
		w := get(NewCallbackAcceptor(), query)
		assert.Equal(t, 400, w.Code, query)
		assert.Equal(t, "text/plain;charset=UTF-8", w.Header().Get("Content-Type"))
		assert.NotContains(t, w.Body.String(), "script", "nothing is reflected")
	}
	w := get(NewCallbackAcceptor(), "jsonp=a&message="+strings.Repeat("1", 1001))
	assert.Equal(t, 413, w.Code)
	assert.Contains(t, w.Body.String(), "1000")
	w = get(NewCallbackAcceptor(), "jsonp="+strings.Repeat("a", 65)+"&message=%5B1%5D")
	assert.Contains(t, w.Body.String(), "longer than 64 characters", "the limit is named")
	w = get(NewCallbackAcceptor(WithCallback("cb", 3)), "cb=abcd&message=%5B1%5D")
	assert.Equal(t, 400, w.Code)
	assert.Contains(t, w.Body.String(), "longer than 3 characters")
	w = get(NewCallbackAcceptor(), "jsonp="+strings.Repeat("a", 64)+"&message=%5B1%5D")
	assert.Equal(t, 200, w.Code, "64 characters are allowed")
}

func TestCallbackPollingIsPolled(t *testing.T) {
	a := NewCallbackAcceptor()
	assert.Equal(t, "callback-polling", a.Type())
	assert.True(t, a.Match(httptest.NewRequest("GET", "/?jsonp=a", nil)))
	assert.False(t, a.Match(httptest.NewRequest("GET", "/", nil)))
	assert.False(t, a.Match(httptest.NewRequest("POST", "/?jsonp=a", nil)))
	a.Serve(httptest.NewRecorder(), httptest.NewRequest("GET", "/?jsonp=a&message=1", nil), &transport.Accept{}, func(c transport.Conn) {
		require.True(t, c.Peer().Polled)
		require.True(t, c.Peer().Once)
		require.Equal(t, "callback-polling", c.Peer().Type)
	})
}
