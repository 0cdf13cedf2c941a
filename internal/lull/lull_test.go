package lull

import (
	"net"
	"runtime"
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
// on one processor, while f runs. It returns how many turns each had.
func crowd(n int, turn time.Duration, f func()) []int {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var stop atomic.Bool
	var all sync.WaitGroup
	turns := make([]int, n)
	for i := range n {
		all.Go(func() {
			for !stop.Load() {
				for begin := time.Now(); time.Since(begin) < turn; {
				}
				turns[i]++
				Shared.Wait()
			}
		})
	}
	f()
	stop.Store(true)
	all.Wait()
	return turns
}

func TestAllWhoWaitHaveTheirTurn(t *testing.T) {
	turns := crowd(20, 50*time.Microsecond, func() { time.Sleep(100 * time.Millisecond) })
	for _, n := range turns {
		assert.NotZero(t, n, "%v", turns)
	}
	assert.Zero(t, Shared.Waiting())
}

// A byte that goes to and fro is heard of between two turns: of few turns there
// are in the way of each, not all.
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
	const times, peers = 50, 50
	turns := crowd(peers, 200*time.Microsecond, func() {
		for range times {
			var p [1]byte
			a.Write(p[:])
			b.Read(p[:])
			b.Write(p[:])
			a.Read(p[:])
		}
	})
	all := 0
	for _, n := range turns {
		all += n
	}
	assert.Less(t, all, times*peers/2, "each way and back took as many turns as there are peers")
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
