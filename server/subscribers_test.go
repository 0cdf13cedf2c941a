package server

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A snapshot stays what it was, whoever comes and goes afterwards.
func TestASnapshotOfSubscribersNeverChanges(t *testing.T) {
	const seed = 1
	rnd := rand.New(rand.NewPCG(seed, seed))
	var s subscribers
	var listed []*subscription
	var taken []snapshot
	var wants [][]*Session
	for step := range 20_000 {
		joins := step%7000 < 2500 || rnd.IntN(2) == 0 // up to some thousand, then about as many
		if n := len(listed); joins || n == 0 {
			sub := &subscription{session: new(Session)}
			s.add(sub)
			listed = append(listed, sub)
		} else {
			i := rnd.IntN(n)
			s.remove(listed[i])
			listed[i] = listed[n-1]
			listed = listed[:n-1]
		}
		if step%500 == 0 {
			taken = append(taken, s.snapshot())
			wants = append(wants, slices.Collect(s.all()))
		}
	}
	assert.Equal(t, len(listed), s.len())
	want := map[*Session]bool{}
	for i, sub := range listed {
		want[sub.session] = true
		assert.Same(t, s.snapshot().chunks[sub.at/chunkSize][sub.at%chunkSize].sub, listed[i])
	}
	for session := range s.all() {
		assert.True(t, want[session])
		delete(want, session)
	}
	assert.Empty(t, want)
	for i, snap := range taken {
		var got []*Session
		for k := range snap.chunks {
			for _, l := range snap.chunk(k) {
				got = append(got, l.session)
			}
		}
		assert.True(t, slices.Equal(wants[i], got), "snapshot %d", i)
	}
}

// Who has left is not kept by who stays.
func TestSubscribersKeepNobodyWhoHasLeft(t *testing.T) {
	var s subscribers
	var all []*subscription
	for range 3 * chunkSize {
		sub := &subscription{session: new(Session)}
		s.add(sub)
		all = append(all, sub)
	}
	kept := func() (n int) {
		chunks := s.snapshot().chunks
		for _, c := range chunks[:cap(chunks)] {
			for _, l := range c[:cap(c)] {
				if l.session != nil {
					n++
				}
			}
		}
		return n
	}
	for i, sub := range all[1:] {
		s.remove(sub)
		require.Equal(t, len(all)-1-i, kept(), "also in memory that is there for more")
	}
}

// Walks go on while others come and go.
func TestSubscribersAreWalkedWithoutALock(t *testing.T) {
	var s subscribers
	var stop atomic.Bool
	var walks sync.WaitGroup
	stays := &subscription{session: new(Session)}
	s.add(stays)
	for range 2 {
		walks.Go(func() {
			for !stop.Load() {
				assert.True(t, slices.Contains(slices.Collect(s.all()), stays.session))
			}
		})
	}
	for range 20 {
		var others []*subscription
		for range 600 {
			sub := &subscription{session: new(Session)}
			s.add(sub)
			others = append(others, sub)
		}
		for _, sub := range others {
			s.remove(sub)
		}
	}
	stop.Store(true)
	walks.Wait()
}
