package server_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/server"
)

// Behind one address of IPv6 is one customer of 2^64, behind one of IPv4 one,
// however it is written.
func TestAnAddressCountsAsWhoHasIt(t *testing.T) {
	srv, err := cometd.NewServer(server.WithLimits(server.Limits{SessionsPerAddr: 10}))
	require.NoError(t, err)
	defer srv.Close()
	for _, c := range []struct {
		name  string
		from  func(i int) string
		taken int
	}{
		{"ports of one address", func(i int) string { return fmt.Sprintf("192.0.2.7:%d", 1000+i) }, 10},
		{"addresses of IPv4", func(i int) string { return fmt.Sprintf("203.0.113.%d:1", i) }, 30},
		{"addresses of one /64", func(i int) string { return fmt.Sprintf("[2001:db8:1:2::%x]:1234", i) }, 10},
		{"the same without ports", func(i int) string { return fmt.Sprintf("2001:db8:1:2:%x::1", i) }, 0},
		{"networks", func(i int) string { return fmt.Sprintf("[2001:db8:2:%x::1]:1234", i) }, 30},
		{"zones", func(i int) string { return fmt.Sprintf("[fe80::1%%eth%d]:1234", i) }, 10},
		{"IPv4 within IPv6", func(int) string { return "[::ffff:198.51.100.9]:1" }, 10},
		{"the same as IPv4", func(int) string { return "198.51.100.9:1" }, 0},
		{"no address of IP", func(int) string { return "@" }, 10},
	} {
		taken := 0
		for i := range 30 {
			r := httptest.NewRequest("POST", "/cometd", strings.NewReader(`[{"channel":"/meta/handshake","version":"1.0","id":"1"}]`))
			r.RemoteAddr = c.from(i + 1)
			w := httptest.NewRecorder()
			srv.ServeHTTP(w, r)
			if strings.Contains(w.Body.String(), `"successful":true`) {
				taken++
			}
		}
		assert.Equal(t, c.taken, taken, c.name)
	}
}

// Without a limit of its own the loopback does not count, in either version, nor who
// comes over a socket of Unix: a proxy with all its clients.
func TestThisMachineHasNoLimitOfAnAddressByDefault(t *testing.T) {
	srv, err := cometd.NewServer()
	require.NoError(t, err)
	defer srv.Close()
	for _, from := range []string{"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "@", "@proxy", "/run/proxy.sock", ""} {
		for range 2001 {
			r := httptest.NewRequest("POST", "/cometd", strings.NewReader(`[{"channel":"/meta/handshake","version":"1.0","id":"1"}]`))
			r.RemoteAddr = from
			w := httptest.NewRecorder()
			srv.ServeHTTP(w, r)
			require.Contains(t, w.Body.String(), `"successful":true`, from)
		}
	}
}
