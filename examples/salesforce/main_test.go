package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A follower is the program under test and what it has printed.
type follower struct {
	t     *testing.T
	stop  context.CancelFunc
	lines *bufio.Scanner
	ended chan error
}

func follow(t *testing.T, o *org, url, positions string) *follower {
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	f := &follower{t, stop, bufio.NewScanner(r), make(chan error, 1)}
	s := settings{url: url, channel: "/event/Order__e", positions: positions, log: slog.New(slog.DiscardHandler)}
	s.token = func(context.Context) (client.AccessToken, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		return client.Bearer(o.token), nil
	}
	go func() {
		f.ended <- run(ctx, s, w)
		w.Close()
	}()
	return f
}

func (f *follower) next() string {
	require.True(f.t, f.lines.Scan())
	if f.lines.Text() == "gap: going_away" { // a 503 may have cost something, for all a client knows
		return f.next()
	}
	return f.lines.Text()
}

// end stops the program and returns what it printed last.
func (f *follower) end() (rest []string) {
	f.stop()
	for f.lines.Scan() {
		rest = append(rest, f.lines.Text())
	}
	require.NoError(f.t, <-f.ended)
	return rest
}

func (o *org) subscribers() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.sessions {
		n += len(s.after)
	}
	return n
}

func line(n int) string { return fmt.Sprintf(`%d {"n":%d}`, 3*n+1, n) }

// Whatever Salesforce is known to do, each event is handled once, in order, and
// after a restart the program goes on where it was.
func TestNothingIsMissedOrRepeated(t *testing.T) {
	o := newOrg("token0")
	hs := httptest.NewServer(o)
	defer hs.Close()
	positions := filepath.Join(t.TempDir(), "positions.json")
	f := follow(t, o, hs.URL+"/cometd/62.0", positions)
	require.Eventually(t, func() bool { return o.subscribers() > 0 }, 10*time.Second, time.Millisecond)
	n := 0
	publish := func() {
		o.publish("/event/Order__e", map[string]int{"n": n})
		n++
	}
	seen := 0
	for _, mischief := range []func(){
		func() {},
		o.forget,
		func() { o.expireToken("token1") },
		func() { o.forget(); o.expireToken("token2") },
		func() { o.fail(http.StatusServiceUnavailable) },
		func() { o.fail(http.StatusUnauthorized); o.forget() },
	} {
		publish()
		mischief()
		publish()
		for ; seen < n; seen++ {
			require.Equal(t, line(seen), f.next())
		}
	}
	assert.Empty(t, f.end())
	publish() // while nobody is there
	f = follow(t, o, hs.URL+"/cometd/62.0", positions)
	require.Equal(t, line(seen), f.next())
	assert.Empty(t, f.end())
	assert.LessOrEqual(t, o.count(bayeux.MetaHandshake), 10)
}

// What is no longer retained cannot come back: the program is told, and goes on
// with all there is.
func TestAPositionThatHasExpiredIsToldAsAGap(t *testing.T) {
	o := newOrg("token0")
	hs := httptest.NewServer(o)
	defer hs.Close()
	positions := filepath.Join(t.TempDir(), "positions.json")
	f := follow(t, o, hs.URL+"/cometd/62.0", positions)
	require.Eventually(t, func() bool { return o.subscribers() > 0 }, 10*time.Second, time.Millisecond)
	o.publish("/event/Order__e", map[string]int{"n": 0})
	require.Equal(t, line(0), f.next())
	f.end()
	for n := 1; n < 5; n++ {
		o.publish("/event/Order__e", map[string]int{"n": n})
	}
	o.trim()
	o.publish("/event/Order__e", map[string]int{"n": 5})
	f = follow(t, o, hs.URL+"/cometd/62.0", positions)
	require.Equal(t, "gap: expired", f.next())
	require.Equal(t, line(5), f.next())
	f.end()
}

func TestTheDemoRuns(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	var all sync.WaitGroup
	all.Go(func() {
		ended <- runDemo(ctx, settings{channel: "/event/Order__e", log: slog.New(slog.DiscardHandler)}, w)
		w.Close()
	})
	lines := bufio.NewScanner(r)
	require.True(t, lines.Scan())
	assert.Contains(t, lines.Text(), "Number__c")
	stop()
	for lines.Scan() {
		assert.True(t, strings.Contains(lines.Text(), "Number__c"), lines.Text())
	}
	all.Wait()
	assert.NoError(t, <-ended)
}
