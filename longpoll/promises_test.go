package longpoll

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/transporttest"
)

// start serves a on a loopback listener and gives a target to dial it.
func start(t testing.TB, a transport.Acceptor, o *transport.Accept, serve func(transport.Conn)) *transport.Target {
	t.Helper()
	s := httptest.NewServer(handler(a, o, serve))
	t.Cleanup(s.Close)
	return target(t, s, o.Limit)
}

func handler(a transport.Acceptor, o *transport.Accept, serve func(transport.Conn)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.Match(r) {
			http.Error(w, "no transport", http.StatusMethodNotAllowed)
			return
		}
		a.Serve(w, r, o, serve)
	})
}

func target(t testing.TB, s *httptest.Server, limit int) *transport.Target {
	t.Helper()
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	c := s.Client()
	c.Jar, err = cookiejar.New(nil)
	require.NoError(t, err)
	return &transport.Target{URL: u, HTTP: c, Limit: limit}
}

func TestKeepsThePromises(t *testing.T) {
	transporttest.Run(t, func(t testing.TB, limit int, serve func(transport.Conn)) transporttest.Dial {
		to := start(t, NewAcceptor(), &transport.Accept{Limit: limit, Body: time.Minute, Stall: time.Minute}, serve)
		return func() (transport.Conn, error) { return NewDialer().Dial(t.Context(), to) }
	})
}

func TestKeepsThePromisesOverHTTP2(t *testing.T) {
	transporttest.Run(t, func(t testing.TB, limit int, serve func(transport.Conn)) transporttest.Dial {
		o := &transport.Accept{Limit: limit, Body: time.Minute, Stall: time.Minute}
		s := httptest.NewUnstartedServer(handler(NewAcceptor(), o, serve))
		s.EnableHTTP2 = true
		s.StartTLS()
		t.Cleanup(s.Close)
		to := target(t, s, limit)
		return func() (transport.Conn, error) { return NewDialer().Dial(t.Context(), to) }
	})
}
