package replayserver

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/internal/dropped"
	"github.com/gocometd/cometd/ext/replay/internal/merge"
	"github.com/gocometd/cometd/internal/lock"
)

// A Memory is a [Store] in memory: its messages are safe at once, and gone with
// the process.
type Memory struct {
	rules []Rule

	appending lock.Turn[lock.Appending] // orders the calls of kept

	mu       lock.Mutex[lock.Messages]
	first    replay.ID
	last     replay.ID
	channels map[string]*log
	empty    int            // of them
	full     map[string]int // the others of each rule, by its pattern
	looked   time.Time      // when all were trimmed because there were too many
	dropped  dropped.Marks
}

// lookEvery is how often a store looks through all channels for those whose messages
// are too old when somebody wants to publish on one too many.
const lookEvery = time.Second

// A log is what is kept of one channel.
type log struct {
	rule     Rule
	messages []Message
	bytes    int
	gone     replay.ID
	empty    bool // counted as such
}

// NewMemory makes a store for the channels that the rules match. Give each rule
// a bound, or it grows for ever. It panics if [ParseRules] finds an error in
// them. Of channels that have no message left it remembers up to 10,000, and the
// others of a rule as one: who goes on from before the last of those is told of
// a gap, though it may have missed nothing.
func NewMemory(rules ...Rule) *Memory {
	rules, err := ParseRules(rules)
	if err != nil {
		panic(fmt.Sprintf("replayserver: %v", err))
	}
	start := replay.ID(time.Now().UnixMicro())
	return &Memory{rules: rules, first: start, last: start, channels: map[string]*log{}, full: map[string]int{}, dropped: dropped.Marks{}}
}

// Keeps reports whether a rule matches ch.
func (s *Memory) Keeps(ch string) bool { _, ok := RuleFor(s.rules, ch); return ok }

// Append keeps a message; it calls kept before it returns.
func (s *Memory) Append(ch string, compose func(replay.ID) []byte, kept func(replay.ID, []byte, error)) {
	s.appending.Lock()
	defer s.appending.Unlock()
	m := Message{Channel: ch, At: time.Now()}
	s.mu.Lock()
	err := s.room(ch, m.At)
	if err == nil {
		s.last++
		m.ID = s.last
	}
	s.mu.Unlock()
	if err != nil {
		kept(0, nil, err)
		return
	}
	m.Data = compose(m.ID)
	s.mu.Lock()
	s.add(m)
	s.mu.Unlock()
	kept(m.ID, m.Data, nil)
}

// room says why ch may have no message, if it may not.
func (s *Memory) room(ch string, now time.Time) error {
	if l := s.channels[ch]; l != nil && !l.empty {
		return nil
	}
	rule, _ := RuleFor(s.rules, ch)
	err := rule.Room(s.full[rule.Pattern])
	if err == nil || now.Sub(s.looked) < lookEvery {
		return err
	}
	s.looked = now
	for ch, l := range s.channels {
		s.trim(ch, l, now)
	}
	return rule.Room(s.full[rule.Pattern])
}

func (s *Memory) add(m Message) {
	l := s.channels[m.Channel]
	if l == nil {
		l = &log{gone: max(s.first, s.dropped.Over(m.Channel)), empty: true}
		l.rule, _ = RuleFor(s.rules, m.Channel)
		s.channels[m.Channel] = l
		s.empty++
	}
	l.messages = append(l.messages, m)
	l.bytes += len(m.Data)
	s.trim(m.Channel, l, m.At)
	s.sweep(m.At)
}

// trim drops what ch may not keep any longer, and ch itself if that is all and
// there are too many such channels.
func (s *Memory) trim(ch string, l *log, now time.Time) {
	l.trim(now)
	switch empty := len(l.messages) == 0; {
	case empty && !l.empty:
		s.empty++
		s.full[l.rule.Pattern]--
	case !empty && l.empty:
		s.empty--
		s.full[l.rule.Pattern]++
	}
	if l.empty = len(l.messages) == 0; l.empty && s.empty > dropped.Kept {
		s.dropped.Note(l.rule.Pattern, l.gone)
		delete(s.channels, ch)
		s.empty--
	}
}

// sweep trims some other channels, whichever come: those that nobody publishes
// on any more must not keep what they have for ever.
func (s *Memory) sweep(now time.Time) {
	n := 0
	for ch, l := range s.channels {
		if s.trim(ch, l, now); n == 2 {
			return
		}
		n++
	}
}

// trim drops what the rule does not allow to be kept any longer.
func (l *log) trim(now time.Time) {
	r, n := l.rule, 0
	for ; n < len(l.messages); n++ {
		m := l.messages[n]
		over := r.Over(int64(len(l.messages)-n), int64(l.bytes))
		if !over && !r.Aged(m.At, now) {
			break
		}
		l.bytes -= len(m.Data)
		if !over || !r.Supersedes() || n == len(l.messages)-1 {
			l.gone = m.ID
		}
	}
	clear(l.messages[:n])
	if l.messages = l.messages[n:]; len(l.messages) == 0 {
		l.messages = nil
	}
}

// matching are the logs of the channels that match pattern, and the last id that
// is gone from one of those channels.
func (s *Memory) matching(pattern string) (all []*log, gone replay.ID) {
	now := time.Now()
	if l := s.channels[pattern]; l != nil {
		s.trim(pattern, l, now)
		return []*log{l}, l.gone
	}
	if bayeux.Channel(pattern).IsWild() {
		for ch, l := range s.channels {
			if bayeux.Channel(pattern).Match(ch) {
				s.trim(ch, l, now)
				all, gone = append(all, l), max(gone, l.gone)
			}
		}
	}
	return all, max(gone, s.dropped.Over(pattern))
}

// at is the index of the first message with an id of at least that one.
func (l *log) at(id replay.ID) int {
	i, _ := slices.BinarySearchFunc(l.messages, id, func(m Message, id replay.ID) int { return cmp.Compare(m.ID, id) })
	return i
}

// What Read holds at a time: the bytes are those beyond which no more are added.
const (
	chunk      = 256
	chunkBytes = 64 << 10
)

// Read is as [Store] has it.
func (s *Memory) Read(ctx context.Context, pattern string, after, upTo replay.ID, f func(Message) bool) error {
	logs, upTo, err := s.begin(pattern, after, upTo)
	if err != nil {
		return err
	}
	for logs.Len() > 0 {
		some, err := s.some(logs, upTo)
		for _, m := range some {
			if err := ctx.Err(); err != nil || !f(m) {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// begin are the logs that have messages to read, of those that are there now.
func (s *Memory) begin(pattern string, after, upTo replay.ID) (*merge.Sources[*log], replay.ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	logs := new(merge.Sources[*log])
	upTo = min(upTo, s.last)
	all, gone := s.matching(pattern)
	if after > 0 && gone > after {
		return nil, 0, ErrTrimmed
	}
	for _, l := range all {
		if i := l.at(after + 1); i < len(l.messages) && l.messages[i].ID <= upTo {
			logs.Add(l.messages[i].ID, l)
		}
	}
	return logs, upTo, nil
}

// some are the next messages, at most a chunk; with an error, those before the
// first that is gone.
func (s *Memory) some(logs *merge.Sources[*log], upTo replay.ID) (some []Message, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes := 0
	for len(some) < chunk && bytes < chunkBytes && logs.Len() > 0 {
		first := logs.First()
		l := first.Of
		if l.gone >= first.Next {
			return some, ErrTrimmed
		}
		i, next := l.at(first.Next), replay.ID(0)
		if i < len(l.messages) && l.messages[i].ID == first.Next {
			some = append(some, l.messages[i])
			bytes += len(l.messages[i].Data)
			i++
		}
		if i < len(l.messages) {
			next = l.messages[i].ID
		}
		logs.Advance(next, upTo)
	}
	return some, nil
}

// Tail is as [Store] has it.
func (s *Memory) Tail(pattern string, n int) (all []Message, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	logs := new(merge.Sources[*log]) // by negative ids: the last comes first
	channels, _ := s.matching(pattern)
	for _, l := range channels {
		if len(l.messages) > 0 {
			logs.Add(-l.messages[len(l.messages)-1].ID, l)
		}
	}
	for len(all) < n && logs.Len() > 0 {
		first := logs.First()
		i, next := first.Of.at(-first.Next), replay.ID(0)
		all = append(all, first.Of.messages[i])
		if i > 0 {
			next = -first.Of.messages[i-1].ID
		}
		logs.Advance(next, 0)
	}
	slices.Reverse(all)
	return all, nil
}

// Bounds is as [Store] has it.
func (s *Memory) Bounds(pattern string) (gone, last replay.ID, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, gone = s.matching(pattern)
	return max(s.first, gone), s.last, nil
}
