package replayserver

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/replay"
)

// A Memory is a [Store] in memory: its messages are safe at once, and gone with
// the process.
type Memory struct {
	rules []Rule

	appending sync.Mutex // orders the calls of kept

	mu       sync.Mutex
	first    replay.ID
	last     replay.ID
	channels map[string]*log
}

// A log is what is kept of one channel.
type log struct {
	rule     Rule
	messages []Message
	bytes    int
	gone     replay.ID
}

// NewMemory makes a store for the channels that the rules match. Give each rule
// a bound, or it grows for ever.
func NewMemory(rules ...Rule) *Memory {
	start := replay.ID(time.Now().UnixMicro())
	return &Memory{rules: rules, first: start, last: start, channels: map[string]*log{}}
}

// Keeps reports whether a rule matches ch.
func (s *Memory) Keeps(ch string) bool { _, ok := RuleFor(s.rules, ch); return ok }

// Append keeps a message; it calls kept before it returns.
func (s *Memory) Append(ch string, compose func(replay.ID) []byte, kept func(replay.ID, []byte, error)) {
	s.appending.Lock()
	defer s.appending.Unlock()
	s.mu.Lock()
	s.last++
	m := Message{ID: s.last, Channel: ch, At: time.Now()}
	s.mu.Unlock()
	m.Data = compose(m.ID)
	s.mu.Lock()
	s.add(m)
	s.mu.Unlock()
	kept(m.ID, m.Data, nil)
}

func (s *Memory) add(m Message) {
	l := s.channels[m.Channel]
	if l == nil {
		l = &log{gone: s.first}
		l.rule, _ = RuleFor(s.rules, m.Channel)
		s.channels[m.Channel] = l
	}
	l.messages = append(l.messages, m)
	l.bytes += len(m.Data)
	l.trim(m.At)
}

// trim drops what the rule does not allow to be kept any longer.
func (l *log) trim(now time.Time) {
	r, n := l.rule, 0
	for ; n < len(l.messages); n++ {
		m := l.messages[n]
		over := r.Messages > 0 && len(l.messages)-n > r.Messages || r.Bytes > 0 && l.bytes > r.Bytes
		if !over && (r.Age <= 0 || now.Sub(m.At) <= r.Age) {
			break
		}
		l.bytes -= len(m.Data)
		l.gone = m.ID
	}
	clear(l.messages[:n])
	l.messages = l.messages[n:]
}

// matching are the logs of the channels that match pattern.
func (s *Memory) matching(pattern string) (all []*log) {
	now := time.Now()
	for ch, l := range s.channels {
		if bayeux.Channel(pattern).Match(ch) {
			l.trim(now)
			all = append(all, l)
		}
	}
	return all
}

// chunk is how many messages Read holds at a time.
const chunk = 256

// Read is as [Store] has it.
func (s *Memory) Read(ctx context.Context, pattern string, after, upTo replay.ID, f func(Message) bool) error {
	for {
		some := s.some(pattern, after, upTo)
		for _, m := range some {
			if err := ctx.Err(); err != nil || !f(m) {
				return err
			}
			after = m.ID
		}
		if len(some) < chunk {
			return nil
		}
	}
}

// some are the next messages, at most a chunk.
func (s *Memory) some(pattern string, after, upTo replay.ID) (all []Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.matching(pattern) {
		i, _ := slices.BinarySearchFunc(l.messages, after+1, func(m Message, id replay.ID) int { return cmp.Compare(m.ID, id) })
		for _, m := range l.messages[i:min(len(l.messages), i+chunk)] {
			if m.ID <= upTo {
				all = append(all, m)
			}
		}
	}
	slices.SortFunc(all, func(a, b Message) int { return cmp.Compare(a.ID, b.ID) })
	return all[:min(len(all), chunk)]
}

// Tail is as [Store] has it.
func (s *Memory) Tail(pattern string, n int) (replay.ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []replay.ID
	for _, l := range s.matching(pattern) {
		for _, m := range l.messages[max(0, len(l.messages)-n):] {
			ids = append(ids, m.ID)
		}
	}
	slices.Sort(ids)
	if len(ids) == 0 || n <= 0 {
		return s.last, nil
	}
	return ids[max(0, len(ids)-n)] - 1, nil
}

// Bounds is as [Store] has it.
func (s *Memory) Bounds(pattern string) (gone, last replay.ID, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone = s.first
	for _, l := range s.matching(pattern) {
		gone = max(gone, l.gone)
	}
	return gone, s.last, nil
}
