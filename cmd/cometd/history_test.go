//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/boltstore"
	"github.com/gocometd/cometd/ext/replay/replayserver"
)

// What a publisher was told is taken is there after kill -9, whenever it
// comes. COMETD_KILLS is how often, when 20 are not enough.
func TestNothingTakenIsMissingAfterAKill(t *testing.T) {
	kills, _ := strconv.Atoi(os.Getenv("COMETD_KILLS"))
	kills = max(kills, 20)
	past := t.TempDir()
	taken := 0
	for range kills {
		url, kill := serveHistory(t, past)
		taken = publishUntil(t, url, taken, kill)
	}
	url, _ := serveHistory(t, past)
	began := time.Now()
	c, err := cometd.Dial(t.Context(), url, client.WithExtension(replay.Client(replay.Config{First: replay.All})))
	require.NoError(t, err)
	defer c.Close()
	sub, err := c.Subscribe(t.Context(), "/orders/new")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	next := 0
	for m := range sub.Messages(ctx) {
		var order struct{ N int }
		require.NoError(t, m.Decode(&order))
		require.LessOrEqual(t, order.N, next, "missing from %d on", next)
		if order.N == next { // an unanswered publish may be there twice
			next++
		}
		if next >= taken {
			break
		}
	}
	require.GreaterOrEqual(t, next, taken)
	t.Logf("%d kills, %d messages, all there %v after the restart", kills, taken, time.Since(began))
}

// cometd serve is back at once, however long the past that it keeps, and what a
// subscriber asks of it comes. COMETD_LONG=1 makes it a million messages.
func TestALongPastDelaysNoRestart(t *testing.T) {
	n := 20_000
	if os.Getenv("COMETD_LONG") != "" {
		n = 1_000_000
	}
	past := t.TempDir()
	fill(t, past, n)
	build(t)
	began := time.Now()
	url, _ := serveHistory(t, past)
	listens := time.Since(began)
	c, err := cometd.Dial(t.Context(), url, client.WithExtension(replay.Client(replay.Config{First: replay.All})))
	require.NoError(t, err)
	defer c.Close()
	sub, err := c.Subscribe(t.Context(), "/a")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var first time.Duration
	got := 0
	for range sub.Messages(ctx) {
		if got++; got == 1 {
			first = time.Since(began)
		}
		if got == n {
			break
		}
	}
	require.Equal(t, n, got)
	t.Logf("%d messages: listens after %v, the first is there after %v, all after %v", n, listens, first, time.Since(began))
}

// fill puts n messages of 128 bytes into the store of a cometd serve --history.
func fill(t *testing.T, dir string, n int) {
	s, err := boltstore.Open(filepath.Join(dir, historyFile), replayserver.Rule{Pattern: "/**"})
	require.NoError(t, err)
	var kept sync.WaitGroup
	kept.Add(n)
	text := strings.Repeat("x", 100)
	for i := range n {
		s.Append("/a", func(id replay.ID) []byte {
			return fmt.Appendf(nil, `{"event":{"replayId":%d},"n":%d,"x":%q}`, id, i, text)
		},
			func(_ replay.ID, _ []byte, err error) {
				if err != nil {
					t.Error(err)
				}
				kept.Done()
			})
	}
	kept.Wait()
	require.NoError(t, s.Close())
}

// serveHistory starts this program as cometd serve.
func serveHistory(t *testing.T, dir string) (url string, kill func()) {
	exe, err := exec.LookPath("cometd") // this test's own binary, by testscript
	if err != nil {
		exe = build(t)
	}
	cmd := exec.Command(exe, "serve", "--listen", "127.0.0.1:0", "--history", dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	kill = sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(strings.TrimPrefix(line, "listening on ")) + "/cometd", kill
}

// publishUntil publishes numbers from n on, kills the server in the midst, and
// returns the number after the last one that was taken.
func publishUntil(t *testing.T, url string, n int, kill func()) int {
	const least, underWay = 300, 1000
	c, err := cometd.Dial(t.Context(), url)
	require.NoError(t, err)
	defer c.Close()
	var taken atomic.Int64
	taken.Store(int64(n))
	killed, failed := make(chan struct{}), make(chan error, 1)
	dead := false                          // is the callbacks', which run one at a time
	slots := make(chan struct{}, underWay) // mostly full, so that the kill finds some under way
	late := time.After(patience)
	for number := n; ; number++ {
		select {
		case slots <- struct{}{}:
		case <-killed:
			kill() // waits until it is dead
			require.NoError(t, c.Close())
			<-c.Done()
			return int(taken.Load())
		case err := <-failed:
			require.NoError(t, err, "before the kill")
		case <-late:
			require.FailNow(t, "the server takes nothing, and nothing fails", "%d of %d", taken.Load(), number)
		}
		require.NoError(t, c.PublishFunc("/orders/new", map[string]int{"n": number}, func(err error) {
			switch {
			case err == nil:
				taken.Store(int64(number + 1))
			case !dead:
				dead = true
				failed <- err
			}
			if number == n+least && !dead {
				dead = true
				close(killed)
				kill()
			}
			<-slots
		}))
	}
}

var built string

func build(t *testing.T) string {
	if built == "" {
		built = fmt.Sprintf("%s/cometd-%d", os.TempDir(), os.Getpid())
		out, err := exec.Command("go", "build", "-o", built, ".").CombinedOutput()
		require.NoError(t, err, "%s", out)
		t.Cleanup(func() { os.Remove(built); built = "" })
	}
	return built
}
