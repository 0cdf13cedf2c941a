package client

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
)

func TestOptionsAreChecked(t *testing.T) {
	d := WithTransports(board(newFake(), streams))
	for name, opts := range map[string][]Option{
		"no transport":   {},
		"nil transport":  {WithTransports(nil)},
		"two of a type":  {WithTransports(board(newFake(), streams), board(newFake(), streams))},
		"timeout":        {d, WithTimeouts(Timeouts{Open: -1})},
		"backoff":        {d, WithBackoff(2, 1)},
		"header":         {d, WithHeader(" x", "1")},
		"max retries":    {d, WithMaxRetries(-1)},
		"publish retry":  {d, WithPublishRetry(0, 1)},
		"token ext":      {d, WithTokenExt("")},
		"no cookie":      {d, WithCookies(nil)},
		"cookie name":    {d, WithCookies(&http.Cookie{Name: "a=b"})},
		"cookie value":   {d, WithCookies(&http.Cookie{Name: "a", Value: "b; c=d"})},
		"cookie control": {d, WithCookies(&http.Cookie{Name: "a", Value: "b\r\nX: y"})},
		"ext pattern":    {d, WithExtension(Extension{Channels: []string{"/a/*/b"}})},
		"ext request":    {d, WithExtension(Extension{Requests: []string{"a"}})},
		"inside Options": {d, Options(WithMaxRetries(-1))},
	} {
		_, err := New(testURL, opts...)
		assert.Error(t, err, name)
		_, err = NewManual(testURL, opts...)
		assert.Error(t, err, name)
	}
	for _, url := range []string{"", "ftp://x", "http://", ":", "/cometd", "http://u:secret@host:port/"} {
		_, err := New(url, d)
		assert.Error(t, err, url)
		assert.NotContains(t, fmt.Sprint(err), "secret")
	}
}

type wrongDialer struct {
	*switchboard
	err error
}

func (d wrongDialer) Err() error { return d.err }

func TestAWrongDialerFailsNew(t *testing.T) {
	wrong := errors.New("the subprotocol is empty")
	d := board(newFake(), streams)
	_, err := New(testURL, WithTransports(wrongDialer{d, wrong}))
	assert.ErrorIs(t, err, wrong)
	c, err := New(testURL, WithTransports(wrongDialer{d, nil}))
	require.NoError(t, err)
	c.Close()
	<-c.Done()
}

func TestAnOpaqueURLShowsNoPassword(t *testing.T) {
	_, err := New("user:secret@host/cometd", WithTransports(board(newFake(), streams)))
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "secret")
}

// "For ever" must not become "at once" where durations are summed up.
func TestTheLongestTimeoutsAreLong(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			const ever = math.MaxInt64
			c := start(t, dialers(d), WithTimeouts(Timeouts{Open: ever, NetworkDelay: ever, DefaultTimeout: ever, Close: ever}))
			s, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			time.Sleep(time.Hour)
			assert.Equal(t, bayeux.Connected, c.State())
			assert.Zero(t, c.Stats().Reconnects)
			require.NoError(t, c.Publish(t.Context(), "/a", 1))
			f.publish("/a", "1")
			assert.Equal(t, []string{"1"}, take(t.Context(), s, 1))
		})
	})
}
