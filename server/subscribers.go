package server

import (
	"iter"
	"sync/atomic"
)

const chunkSize = 256

// subscribers is the set of sessions of one channel. It is read without a
// lock: a reader takes a snapshot, which no later change touches. A change
// copies one chunk and the list of chunks, so that neither a channel with
// 100,000 subscribers nor 100,000 channels with one cost more than they hold.
// The channel's mutex serializes changes.
type subscribers struct {
	list atomic.Pointer[[]chunk]
	n    atomic.Int64
}

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
	listed  bool   // it has one
	dropped bool   // it was dropped, perhaps before it was listed
	left    func() // of one that joins a history: stops that
}

func (s *subscribers) len() int { return int(s.n.Load()) }

// all yields the sessions of a snapshot taken at the first step.
func (s *subscribers) all() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		for _, c := range s.chunks() {
			for i := range c {
				if !yield(c[i].session) {
					return
				}
			}
		}
	}
}

// chunks is a snapshot.
func (s *subscribers) chunks() []chunk {
	if list := s.list.Load(); list != nil {
		return *list
	}
	return nil
}

// add appends sub. The caller holds the channel's mutex.
func (s *subscribers) add(sub *subscription) {
	chunks, n := s.chunks(), s.len()
	sub.at = n
	l := listing{sub.session, sub}
	if n%chunkSize == 0 {
		s.store(append(clip(chunks), chunk{l}), n+1)
		return
	}
	last := len(chunks) - 1
	s.store(with(chunks, last, append(clip(chunks[last]), l)), n+1)
}

// remove fills the place of sub with the last subscription. The caller holds
// the channel's mutex.
func (s *subscribers) remove(sub *subscription) {
	chunks, n := s.chunks(), s.len()
	lastChunk := chunks[len(chunks)-1]
	moved := lastChunk[len(lastChunk)-1]
	if moved.sub != sub {
		i := sub.at / chunkSize
		c := append(chunk(nil), chunks[i]...)
		c[sub.at%chunkSize] = moved
		moved.sub.at = sub.at
		chunks = with(chunks, i, c)
		lastChunk = chunks[len(chunks)-1]
	}
	if len(lastChunk) == 1 {
		s.store(chunks[:len(chunks)-1:len(chunks)-1], n-1)
		return
	}
	short := append(chunk(nil), lastChunk[:len(lastChunk)-1]...)
	s.store(with(chunks, len(chunks)-1, short), n-1)
}

func (s *subscribers) store(chunks []chunk, n int) {
	if n == 0 {
		s.list.Store(nil)
	} else {
		s.list.Store(&chunks)
	}
	s.n.Store(int64(n))
}

// clip makes the next append copy, so that a snapshot never sees it.
func clip[S ~[]E, E any](s S) S { return s[:len(s):len(s)] }

func with(chunks []chunk, i int, c chunk) []chunk {
	chunks = append([]chunk(nil), chunks...)
	chunks[i] = c
	return chunks
}
