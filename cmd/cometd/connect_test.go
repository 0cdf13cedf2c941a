package main

import (
	"bytes"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
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

// What was wrong with an address, a header or a cookie is said without what may be
// secret in it, and before anything is sent.
func TestBadUsageRepeatsNoSecret(t *testing.T) {
	const good = "http://127.0.0.1:1/cometd"
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"ftp://user:hunter2@h/c?token=hunter2"}, `URL is "ftp://user:xxxxx@h/c?token=xxxxx", want http`},
		{[]string{"user:hunter2@h/c?token=hunter2"}, `URL is "user:xxxxx@h/c?token=xxxxx", want http`},
		{[]string{"http://user:hun%zzter2@h/c"}, "URL: invalid URL escape, want http"},
		{[]string{"http://user:hunter2@h:port/c"}, "URL: invalid port, want http"},
		{[]string{"http://user:hunter2/x@h/c"}, "URL: invalid port, want http"},
		{[]string{"--header", "Authorization Bearer hunter2", good}, "--header has no colon"},
		{[]string{"--header", "Authorization Bearer hunter2:x", good}, "--header has a name with an illegal character at byte 14"},
		{[]string{"--header", ": hunter2", good}, "--header has no name"},
		{[]string{"--header", "X Y: hunter2", good}, "--header has a name with an illegal character at byte 2"},
		{[]string{"--header", "X-Key: hunter2\nhunter2", good}, "--header X-Key has a line break or another control character in its value"},
		{[]string{"--bearer", "hunter2\nhunter2", good}, "--bearer has a line break or another control character"},
		{[]string{"--cookie", `SID=hunter2"x`, good}, "--cookie SID: http: invalid cookie value, want NAME=VALUE"},
		{[]string{"--cookie", "SID hunter2", good}, "--cookie: http: '=' not found in cookie, want NAME=VALUE"},
		{[]string{"--cookie", "SID hunter2==", good}, "--cookie: http: invalid cookie name, want NAME=VALUE"},
	} {
		var stderr bytes.Buffer
		args := slices.Concat([]string{"sub", "--wait", "100ms"}, c.args, []string{"/a"})
		assert.Equal(t, exitUsage, run(t.Context(), args, console{err: &stderr}), c.args)
		assert.True(t, strings.HasPrefix(stderr.String(), "cometd: "+c.says), "%q: %s", c.args, &stderr)
		assert.NotRegexp(t, "hun|ter2", stderr.String(), c.args)
	}
}
