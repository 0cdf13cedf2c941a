// Package merge reads many channels as one, in the order of ids, with no more of
// each at hand than the id of its next message.
package merge

import (
	"container/heap"

	"github.com/gocometd/cometd/ext/replay"
)

// A Source is a channel, and the id of the message to read from it.
type Source[T any] struct {
	Next replay.ID
	Of   T
}

// Sources are those that have more to read. The zero Sources is empty.
type Sources[T any] struct{ all sources[T] }

// Add puts one in.
func (s *Sources[T]) Add(next replay.ID, of T) { heap.Push(&s.all, Source[T]{next, of}) }

// Len returns how many there are.
func (s *Sources[T]) Len() int { return len(s.all) }

// First returns the one with the smallest id; there must be one.
func (s *Sources[T]) First() Source[T] { return s.all[0] }

// Advance gives the first one its next id, or takes it out if that is 0 or
// beyond upTo.
func (s *Sources[T]) Advance(next, upTo replay.ID) {
	if next == 0 || next > upTo {
		heap.Pop(&s.all)
		return
	}
	s.all[0].Next = next
	heap.Fix(&s.all, 0)
}

type sources[T any] []Source[T]

func (s sources[T]) Len() int           { return len(s) }
func (s sources[T]) Less(i, j int) bool { return s[i].Next < s[j].Next }
func (s sources[T]) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *sources[T]) Push(x any)        { *s = append(*s, x.(Source[T])) }

func (s *sources[T]) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}
