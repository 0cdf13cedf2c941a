package main

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A connection of HTTP/2 on whose way everything vanishes is used until somebody
// looks, and over a transport that is not its own the client does not.
func TestWhoTrustsAnAuthorityOfTheirOwnNoticesADeadConnectionToo(t *testing.T) {
	cert := filepath.Join(t.TempDir(), "cert.pem")
	require.NoError(t, writeCertificate(cert, filepath.Join(t.TempDir(), "key.pem"), 1))
	web, err := trusting(cert)
	require.NoError(t, err)
	pings := web.Transport.(*http.Transport).HTTP2
	require.NotNil(t, pings)
	assert.Equal(t, 15*time.Second, pings.SendPingTimeout)
	assert.Equal(t, 10*time.Second, pings.PingTimeout)
}
