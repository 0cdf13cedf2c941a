package lull

import (
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// crowd runs n goroutines that compute without end, with a Wait after each turn,
// on one processor, while f runs. f gets the turns that each has had.
func crowd(n int, turn time.Duration, f func(turns []atomic.Int64)) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var stop atomic.Bool
	var all sync.WaitGroup
	turns := make([]atomic.Int64, n)
	for i := range n {
		all.Go(func() {
			for !stop.Load() {
				for begin := time.Now(); time.Since(begin) < turn; {
				}
				turns[i].Add(1)
				Shared.Wait()
			}
		})
	}
	f(turns)
	stop.Store(true)
	all.Wait()
}

func TestAllWhoWaitHaveTheirTurn(t *testing.T) {
	crowd(20, 50*time.Microsecond, func(turns []atomic.Int64) {
		for i := range turns {
			assert.Eventually(t, func() bool { return turns[i].Load() >= 5 }, time.Minute, time.Millisecond, "number %d", i)
		}
	})
	assert.Zero(t, Shared.Waiting())
}

// A byte that goes to and fro is heard of between two turns: of few turns there
// are in the way of each. Without a look at the network there are dozens. The
// kernel may be late with a byte when others keep it busy, so most of the ways
// need not be so.
func TestTheNetworkIsHeardBetweenTwoTurns(t *testing.T) {
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	a, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", ln.Addr().String())
	require.NoError(t, err)
	defer a.Close()
	b, err := ln.Accept()
	require.NoError(t, err)
	defer b.Close()
	var echo sync.WaitGroup
	echo.Go(func() { // is waiting when a byte comes, so that only the poller wakes it
		var p [1]byte
		for {
			if _, err := b.Read(p[:]); err != nil {
				return
			}
			b.Write(p[:])
		}
	})
	const times, peers = 20, 50
	var took []int64
	crowd(peers, 200*time.Microsecond, func(turns []atomic.Int64) {
		for range times {
			before := sum(turns)
			var p [1]byte
			a.Write(p[:])
			a.Read(p[:])
			took = append(took, sum(turns)-before)
		}
	})
	b.Close()
	echo.Wait()
	slices.Sort(took)
	t.Logf("turns in each way and back: %v", took)
	assert.Less(t, took[times/4], int64(peers/5))
}

func sum(turns []atomic.Int64) (n int64) {
	for i := range turns {
		n += turns[i].Load()
	}
	return n
}

func TestWhoWaitsComesAgainAlsoIfOthersNeverStop(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var stop atomic.Bool
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for !stop.Load() {
				runtime.Gosched()
			}
		})
	}
	for range 20 {
		Shared.Wait()
	}
	stop.Store(true)
	all.Wait()
}

func BenchmarkWait(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Shared.Wait()
	}
}
