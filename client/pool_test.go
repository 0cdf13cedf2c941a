package client

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A connection of HTTP/2 on whose way everything vanishes is used until somebody
// looks.
func TestAClientsOwnConnectionsArePinged(t *testing.T) {
	theirs := &http.HTTP2Config{MaxConcurrentStreams: 7}
	for _, config := range []*http.HTTP2Config{nil, theirs} {
		p := newPool(&http.Transport{HTTP2: config})
		p.renew()
		if config == nil {
			assert.Equal(t, pingAfter, p.now.Load().HTTP2.SendPingTimeout)
		} else {
			assert.Equal(t, theirs, p.now.Load().HTTP2, "the program's own is left as it is")
		}
	}
}

type idler struct {
	site
	closed int
}

func (i *idler) CloseIdleConnections() { i.closed++ }

// What a program brought is told to let go of what does nothing, whoever keeps the
// cookies.
func TestTheConnectionsOfTheUsersTransportAreLeftAlone(t *testing.T) {
	for _, jar := range []http.CookieJar{nil, &noJar{}} {
		theirs := &idler{}
		cfg, err := newConfig([]Option{WithTransports(board(newFake(), streams)), WithHTTPClient(&http.Client{Transport: theirs, Jar: jar})})
		require.NoError(t, err)
		e, err := newEndpoint("http://host/cometd", cfg)
		require.NoError(t, err)
		e.reroute()
		e.forgetCookies()
		e.close()
		assert.Zero(t, theirs.closed)
	}
}

type anyTripper struct{ http.RoundTripper }

func TestAProgramMayHaveATransportOfItsOwnAsTheDefault(t *testing.T) {
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	http.DefaultTransport = anyTripper{before}
	c, err := New(testURL, WithTransports(board(newFake(), streams)))
	require.NoError(t, err)
	assert.NoError(t, c.Close())
}
