package server

import (
	"iter"
	"slices"
	"sync/atomic"
)

const chunkSize = 256

// subscribers is the set of sessions of one channel. It is read without a
// lock: a reader takes a snapshot, which no later change touches. Who comes is
// written where no snapshot looks; who leaves costs a copy of its chunk, of the
// last, and of the list of chunks. So neither a channel with 100,000 subscribers
// nor 100,000 channels with one cost more than they hold. The channel's mutex
// serializes changes.
type subscribers struct {
	now atomic.Pointer[snapshot]
	n   atomic.Int64
}

// A snapshot is n listings. All chunks but the last are full, and the last may
// have room.
type snapshot struct {
	chunks []chunk
	n      int32
	added  uint32 // subscriptions so far, those that have left included; it may begin again
}

// A chunk has what snapshots may look at, and zeros behind that.
type chunk []listing

// A listing has the session itself, so that a walk need not go through all the
// subscriptions for it.
type listing struct {
	session *Session
	sub     *subscription
}

// A subscription ties a session to a channel.
type subscription struct {
	session *Session
	channel *channel

	// Guarded by channel.mu.
	at      int    // its place in the channel's list
	nth     uint32 // of all subscriptions that the list has ever had
	listed  bool   // it has one
	dropped bool   // it was dropped, perhaps before it was listed
	left    func() // of one that joins a history: stops that
}

func (s *subscribers) len() int { return int(s.n.Load()) }

// all yields the sessions of a snapshot taken at the first step.
func (s *subscribers) all() iter.Seq[*Session] {
	return func(yield func(*Session) bool) { s.snapshot().all()(yield) }
}

func (now snapshot) all() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		for i := range now.chunks {
			for _, l := range now.chunk(i) {
				if !yield(l.session) {
					return
				}
			}
		}
	}
}

func (s *subscribers) snapshot() snapshot {
	if now := s.now.Load(); now != nil {
		return *now
	}
	return snapshot{}
}

// chunk is what the snapshot has of chunk i.
func (s *snapshot) chunk(i int) chunk {
	return s.chunks[i][:min(chunkSize, int(s.n)-i*chunkSize)]
}

// had reports whether a subscription was added before the snapshot was taken; one
// that has left by now may have been. What lies between may be two billion others.
func (now snapshot) had(sub *subscription) bool { return int32(now.added-sub.nth) >= 0 }

// add appends sub. The caller holds the channel's mutex.
func (s *subscribers) add(sub *subscription) {
	now := s.snapshot()
	sub.at, sub.nth = int(now.n), now.added+1
	chunks, last, at := now.chunks, len(now.chunks)-1, sub.at%chunkSize
	switch {
	case now.n == 0:
		chunks, last = []chunk{make(chunk, 1)}, 0
	case at == 0:
		chunks, last = append(chunks, make(chunk, chunkSize)), last+1
	case at == len(chunks[last]):
		chunks = slices.Clone(chunks)
		chunks[last] = append(chunks[last], make(chunk, min(at/4+1, chunkSize-at))...)
	}
	chunks[last][at] = listing{sub.session, sub}
	s.store(snapshot{chunks, now.n + 1, sub.nth})
}

// remove fills the place of sub with the last subscription. The caller holds
// the channel's mutex.
func (s *subscribers) remove(sub *subscription) {
	now := s.snapshot()
	chunks, last, left := slices.Clone(now.chunks), len(now.chunks)-1, int(now.n-1)%chunkSize
	if moved := chunks[last][left]; moved.sub != sub {
		i := sub.at / chunkSize
		chunks[i] = slices.Clone(chunks[i])
		chunks[i][sub.at%chunkSize] = moved
		moved.sub.at = sub.at
	}
	if left == 0 {
		chunks[last] = nil // its place stays
		chunks = chunks[:last]
	} else {
		chunks[last] = slices.Clone(chunks[last][:left]) // without who is there no more
	}
	s.store(snapshot{chunks, now.n - 1, now.added})
}

func (s *subscribers) store(now snapshot) {
	s.now.Store(&now)
	s.n.Store(int64(now.n))
}
