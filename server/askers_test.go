package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRequestsLetOthersGoFirstWhoseConnectionsWereAnsweredJustNow(t *testing.T) {
	ways := 0
	defer func(f func()) { giveWay = f }(giveWay)
	giveWay = func() { ways++ }
	synctest.Test(t, func(t *testing.T) {
		srv, err := New()
		require.NoError(t, err)
		defer srv.Close()
		asks := func() (waited int) { // each of many
			before := ways
			for i := range 100 {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.RemoteAddr = fmt.Sprint("192.0.2.1:", i)
				srv.ServeHTTP(httptest.NewRecorder(), r)
			}
			return ways - before
		}
		for range 3 {
			for range inARow {
				assert.Zero(t, asks(), "over a proxy's connection one may come so soon, and another")
			}
			assert.Equal(t, 100, asks())
			time.Sleep(justNow - 1)
			assert.Equal(t, 100, asks())
			time.Sleep(longPause - 1)
			assert.Equal(t, 100, asks(), "it is no pause when a request takes longer to come through")
			time.Sleep(longPause)
			for range 2 * inARow {
				assert.Zero(t, asks(), "who has waited for its answer waits for nobody")
				time.Sleep(justNow)
			}
			time.Sleep(longPause)
		}
	})
}

// All of them have begun before one ends, which is when others are seen.
func TestStreamsThatBeginAtOnceLetOthersGoFirst(t *testing.T) {
	ways := 0
	defer func(f func()) { giveWay = f }(giveWay)
	giveWay = func() { ways++ }
	synctest.Test(t, func(t *testing.T) {
		var a askers
		for range 100 {
			a.enter(&http.Request{RemoteAddr: "192.0.2.1:443", ProtoMajor: 2})
		}
		assert.Equal(t, 100-inARow, ways)
		for range 100 {
			a.enter(&http.Request{RemoteAddr: "192.0.2.2", ProtoMajor: 1}) // clients of one address, as a middleware names them
		}
		assert.Equal(t, 100-inARow, ways)
	})
}

// The clients of a proxy that comes over a socket of Unix do not queue behind each
// other: nobody can tell them apart.
func TestWhoHasNoAddressWaitsForNobody(t *testing.T) {
	defer func(f func()) { giveWay = f }(giveWay)
	giveWay = func() { t.Error("it waited") }
	synctest.Test(t, func(t *testing.T) {
		srv, err := New()
		require.NoError(t, err)
		defer srv.Close()
		for range 100 {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = "@"
			srv.ServeHTTP(httptest.NewRecorder(), r)
		}
	})
}

// A byte that goes to and fro is heard of between two requests of peers that do
// not wait for their answers: few are in the way, however many the peers.
func TestTheNetworkIsHeardBetweenRequestsThatDoNotEnd(t *testing.T) {
	for _, peers := range []int{4, 100} {
		t.Run(strconv.Itoa(peers), func(t *testing.T) { hearsBetweenRequests(t, peers) })
	}
}

func hearsBetweenRequests(t *testing.T, peers int) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer func(d time.Duration) { justNow = d }(justNow)
	justNow = time.Second // however slow the machine is: these peers never wait
	var served atomic.Int64
	srv, err := New()
	require.NoError(t, err)
	defer srv.Close()
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		srv.ServeHTTP(w, r)
		served.Add(1)
	}))
	defer hs.Close()
	addr := hs.Listener.Addr().String()
	var all sync.WaitGroup
	defer all.Wait()
	many := strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 100)
	for range peers {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		require.NoError(t, err)
		defer c.Close()
		all.Go(func() { io.Copy(io.Discard, bufio.NewReader(c)) })
		all.Go(func() {
			for {
				if _, err := io.WriteString(c, many); err != nil {
					return
				}
			}
		})
	}
	a, b := pair(t)
	defer a.Close()
	all.Go(func() { // is waiting when a byte comes, so that only the poller wakes it
		defer b.Close()
		io.Copy(b, b)
	})
	require.Eventually(t, func() bool { return served.Load() > 100 }, time.Minute, time.Millisecond)
	var took []int64
	for range 20 {
		before := served.Load()
		var p [1]byte
		a.Write(p[:])
		a.Read(p[:])
		took = append(took, served.Load()-before)
	}
	slices.Sort(took)
	t.Logf("requests in each way and back: %v", took)
	assert.Less(t, took[len(took)/4], int64(20)) // without a look there are thousands
}

// pair is a connection of the loopback.
func pair(t *testing.T) (a, b net.Conn) {
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	a, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", ln.Addr().String())
	require.NoError(t, err)
	b, err = ln.Accept()
	require.NoError(t, err)
	return a, b
}
