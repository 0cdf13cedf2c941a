package server

import (
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Those who have sent something, or have gone, hold nobody up.
func TestConnectionsThatHaveAskedNothingYetAreCounted(t *testing.T) {
	srv, err := New()
	require.NoError(t, err)
	defer srv.Close()
	var all []net.Conn
	for i := range 20 {
		c, other := net.Pipe()
		defer other.Close()
		defer c.Close()
		srv.ConnState(c, http.StateNew)
		assert.Equal(t, i+1, srv.conns.silent.Len())
		all = append(all, c)
	}
	for i, c := range all[:10] {
		srv.ConnState(c, http.StateActive)
		srv.ConnState(c, http.StateIdle)
		srv.ConnState(c, http.StateActive)
		assert.Equal(t, 19-i, srv.conns.silent.Len())
	}
	for i, c := range all[5:] {
		srv.ConnState(c, []http.ConnState{http.StateClosed, http.StateHijacked}[i%2])
	}
	assert.Zero(t, srv.conns.silent.Len())
	assert.Len(t, srv.conns.http, 5)
}

// http.Server.Shutdown would wait five seconds for those.
func TestCloseClosesConnectionsThatHaveAskedNothing(t *testing.T) {
	srv, err := New()
	require.NoError(t, err)
	ends := map[bool]net.Conn{}
	for _, asks := range []bool{false, true} {
		c, other := net.Pipe()
		defer c.Close()
		defer other.Close()
		srv.ConnState(c, http.StateNew)
		if asks {
			srv.ConnState(c, http.StateActive)
		}
		ends[asks] = other
	}
	require.NoError(t, srv.Close())
	_, err = ends[false].Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF)
	ends[true].SetReadDeadline(time.Now())
	_, err = ends[true].Read(make([]byte, 1))
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded, "it may be waiting for an answer")
}

// A proxy that comes over a socket of Unix has the connections of all its clients,
// unless the limit is set.
func TestASocketOfUnixHasNoLimitOfAnAddressUnlessItIsSet(t *testing.T) {
	for set, taken := range map[int]int{0: 3000, 1000: 1000} {
		srv, err := New(WithLimits(Limits{ConnsPerAddr: set}))
		require.NoError(t, err)
		defer srv.Close()
		n := 0
		for range 3000 {
			if _, _, err := srv.conns.take("@", &srv.config); err == nil {
				n++
			}
		}
		assert.Equal(t, taken, n)
	}
}
