package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/internal/lull"
	"github.com/gocometd/cometd/transport"
)

// A stream takes all that is sent at once, and tells.
type stream struct {
	told func()
	peer transport.Peer
}

func (*stream) Receive() (io.Reader, error)   { return nil, io.EOF }
func (*stream) Send(*transport.Payload) error { return nil }
func (*stream) Close(transport.Reason) error  { return nil }
func (s *stream) Peer() *transport.Peer       { return &s.peer }
func (*stream) Context() context.Context      { return context.Background() }
func (s *stream) Start(*transport.Payload, func(error)) bool {
	s.told()
	return true
}

// shardOf is a shard of its own, and what makes streams of it that have replies.
func shardOf(t *testing.T) (x *shard, audience func(n int, told func(i int)) []*link) {
	srv, err := New()
	require.NoError(t, err)
	t.Cleanup(func() { srv.Close() })
	x = newShard()
	return x, func(n int, told func(int)) (all []*link) {
		for i := range n {
			l := newLink(srv, &stream{told: func() { told(i) }})
			l.shard = x
			l.add(reply{text: []byte("{}")})
			l.dirty.Store(true)
			all = append(all, l)
		}
		return all
	}
}

// writeUntil has x write until done, and then to the end of its round.
func (x *shard) writeUntil(done <-chan struct{}) {
	closing, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); x.run(closing) }()
	<-done
	close(closing)
	<-ended
}

func TestALongBatchLetsOthersGoFirstEvery32Messages(t *testing.T) {
	ways := 0
	defer func(f func()) { giveWay = f }(giveWay)
	giveWay = func() { ways++ }
	synctest.Test(t, func(t *testing.T) {
		refused := 0
		srv, err := New(WithHooks(Hooks{Refused: func(*transport.Peer, *bayeux.Error) {
			refused++
			time.Sleep(10 * time.Microsecond) // as some work would take
		}}))
		require.NoError(t, err)
		defer srv.Close()
		l := newLink(srv, &stream{told: func() {}})
		for n, want := range map[int]int{1: 0, 31: 0, 32: 1, 320: 10} {
			ways, refused = 0, 0
			b, err := codec.Parse([]byte("["+strings.TrimSuffix(strings.Repeat(`{"channel":"/a"},`, n), ",")+"]"), codec.Limits{})
			require.NoError(t, err)
			l.receive(b)
			b.Release()
			assert.Equal(t, want, ways, "a batch of %d", n)
			assert.Equal(t, n, refused)
		}
	})
}

func TestASmallAudienceDoesNotWaitForARoundOverALargeOne(t *testing.T) {
	x, audience := shardOf(t)
	var order []string
	few := audience(smallAudience, func(int) { order = append(order, "few") })
	end := audience(1, func(int) { order = append(order, "end") })
	done := make(chan struct{})
	last := audience(1, func(int) { close(done) })
	many := audience(1000, func(i int) {
		switch order = append(order, "many"); i {
		case 500:
			x.push(smallAudience+1, end...)
			x.push(len(few), few...)
		case 999:
			x.push(smallAudience+1, last...)
		}
	})
	x.push(len(many), many...)
	x.writeUntil(done)
	first := slices.Index(order, "few")
	assert.Greater(t, first, 500)
	assert.LessOrEqual(t, first, 501+checkEvery)
	assert.Len(t, order, 1000+smallAudience+1)
	assert.Equal(t, "end", order[len(order)-1])
}

// However much is published to few, the many have their frames: who has had one
// in a round waits for the next.
func TestASmallAudienceHasOneFrameInARound(t *testing.T) {
	x, audience := shardOf(t)
	done := make(chan struct{})
	var again *link
	times := 0
	again = audience(1, func(int) { // and has more each time
		if times++; times < 10_000 {
			again.add(reply{text: []byte("{}")})
		}
	})[0]
	before := 0
	many := audience(1000, func(i int) {
		if i == 999 {
			before = times
			close(done)
		}
	})
	x.push(len(many), many...)
	x.push(1, again)
	x.writeUntil(done)
	assert.Equal(t, 1, before)
}

// Peers that never pause are as many as they please.
func TestWhoeverAcceptsDoesNotQueueBehindPeers(t *testing.T) {
	var all sync.WaitGroup
	var turns atomic.Int64 // that peers had
	stop := make(chan struct{})
	for range 300 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					lull.Shared.Wait()
					turns.Add(1)
				}
			}
		})
	}
	defer all.Wait()
	defer close(stop)
	srv, err := New()
	require.NoError(t, err)
	defer srv.Close()
	for lull.Shared.Waiting() < 200 {
		runtime.Gosched()
	}
	const more = 20
	var had []int64 // turns, while a connection was accepted
	for i := range mostSilent + more {
		c, other := net.Pipe()
		defer other.Close()
		defer c.Close()
		before := turns.Load()
		srv.ConnState(c, http.StateNew)
		if i >= mostSilent {
			had = append(had, turns.Load()-before)
		}
	}
	slices.Sort(had)
	assert.Less(t, had[more/2], int64(100), "peers had a turn each while one connection was accepted")
}
