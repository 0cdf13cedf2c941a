package hostile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/transport"
)

// An ear is a subscription to the publishers, and checks the promises.
type ear struct {
	l   *listener
	sub string // for people

	quiet lull

	mu    sync.Mutex
	first map[string]int
	next  map[string]int
	told  map[string]bool // of a gap, since the last message
	late  map[note]bool   // were left out, and may still come: their publisher does not know whether they were taken
	heard map[string]int
	gaps  int
	gapAt time.Time // the last one
}

func newEar(l *listener, sub string) *ear {
	return &ear{l: l, sub: sub, first: map[string]int{}, next: map[string]int{}, told: map[string]bool{}, late: map[note]bool{}, heard: map[string]int{}}
}

func (e *ear) gap(g client.Gap) {
	if e.l.ack && g.Reason != transport.Expired {
		e.complain("a gap in spite of acknowledgements: %+v", g)
	}
	if g.Reason == transport.Expired && !e.l.tie.hasLost() {
		e.complain("a session is said to be lost, and was not: %+v", g)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gaps++
	e.gapAt = time.Now()
	for name := range e.next {
		e.told[name] = true
	}
}

func (e *ear) hear(_ context.Context, m *bayeux.Message) error {
	var v note
	if err := json.Unmarshal(m.Data, &v); err != nil || "/t/"+v.From != m.Channel {
		e.complain("not what was sent: %s %s", m.Channel, m.Data)
		return nil
	}
	e.quiet.hear()
	if e.comesLate(v) {
		return nil
	}
	e.mu.Lock()
	want, before := e.next[v.From]
	if !before {
		e.first[v.From] = v.N
	}
	told, gaps := e.told[v.From] || e.stillTold(), e.gaps
	e.next[v.From], e.told[v.From] = v.N+1, false
	e.heard[v.From]++
	e.mu.Unlock()
	switch {
	case !before:
	case v.N < want:
		e.complain("%s: %d after %d", m.Channel, v.N, want-1)
	case v.N > want:
		e.judge(v, want, told, gaps)
	}
	return nil
}

// stillTold reports whether the last gap goes on: a poll that was given up may reach the
// server after the next one, and takes with it what comes then, if nobody acknowledges.
// The caller holds mu.
func (e *ear) stillTold() bool {
	return e.l.tie.polls && !e.l.ack && time.Since(e.gapAt) < held+delay
}

// comesLate reports whether v's publisher had given up waiting before it went out,
// and v has not been heard yet. What may be late is no message to begin with.
func (e *ear) comesLate(v note) bool {
	p := e.l.w.publisher(v.From)
	givenUp := p != nil && p.gaveUp(v.N)
	e.mu.Lock()
	defer e.mu.Unlock()
	if first, before := e.first[v.From]; givenUp && (!before || v.N < first) {
		return true
	}
	late := e.late[v]
	delete(e.late, v)
	return late
}

// publisher is the one of that name, nil if there is none.
func (w *chamber) publisher(name string) *publisher {
	i, err := strconv.Atoi(name)
	if err != nil || i < 0 || i >= len(w.publishers) {
		return nil
	}
	return w.publishers[i]
}

// judge complains of a hole, unless a gap was told or its numbers were perhaps
// never taken.
func (e *ear) judge(v note, want int, told bool, gaps int) {
	p := e.l.w.publisher(v.From)
	if p == nil {
		return
	}
	for n := want; n < v.N; n++ {
		if p.isUnsure(n) {
			e.expectLate(note{v.From, n})
			continue
		}
		if !told {
			e.complain("/t/%s: %d is missing before %d, and no gap was told; there were %d%s", v.From, n, v.N, gaps, e.beside(v.From))
			return
		}
	}
}

// beside is how far the listener's first subscription is with a publisher, for people:
// what it does not miss was lost within the client.
func (e *ear) beside(from string) string {
	main := e.l.main
	if main == e {
		return "" // and l.sub may not be set yet
	}
	sub := e.l.sub
	if sub == nil {
		return "; the listener has no first subscription"
	}
	main.mu.Lock()
	defer main.mu.Unlock()
	return fmt.Sprintf("; the listener's first subscription waits for %d, told: %v, gaps: %d, error: %v", main.next[from], main.told[from], main.gaps, sub.Err())
}

// expectLate notes a message that may still come, and forgets those that came
// never.
func (e *ear) expectLate(v note) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.late[v] = true
	if len(e.late) > 1<<10 {
		for old := range e.late {
			if old.N < e.next[old.From]-remembered {
				delete(e.late, old)
			}
		}
	}
}

func (e *ear) complain(format string, args ...any) {
	e.l.w.complain("listener "+e.l.tie.who+", "+e.sub+": "+format, args...)
}

func (e *ear) hasHeard(name string, n int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.next[name] > n || e.told[name]
}

func (e *ear) counts() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	counts := map[string]int{}
	for name, n := range e.heard {
		counts[name] = n
	}
	return counts
}

// A tie is what holds a client to its session: it notes what the client knows
// of the session, and claims the session's end when the client has another.
type tie struct {
	w     *chamber
	who   string
	polls bool

	mu    sync.Mutex
	id    string
	since time.Time
	asked int       // connects since the last good answer to one
	good  time.Time // when that was
	lost  bool
}

func (t *tie) extension() client.Extension {
	return client.Extension{
		Name: "tie", Channels: []string{bayeux.MetaConnect},
		Session: t.begins, Outgoing: t.asks, Incoming: t.answered,
	}
}

func (t *tie) begins(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.id != "" {
		t.lost = true
		// What a client may conclude by itself: from three connects in a row without
		// an answer, from exchanges that break for longer than a connect is held, or from
		// no answer for longer than a server keeps a session, which has it for longer if a
		// connect has reached it late.
		quiet := now.Sub(t.good)
		silent := t.asked >= 3 || t.polls && t.asked >= 2 && quiet > held+delay || quiet > held+t.w.lost.keeps
		t.w.lost.claim(claim{who: t.who, session: t.id, since: t.since, at: now, quiet: quiet, asked: t.asked, silent: silent})
	}
	t.id, t.since, t.asked, t.good = id, now, 0, now
}

func (t *tie) hasLost() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost
}

func (t *tie) asks(context.Context, *bayeux.Message) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked++
	return nil
}

func (t *tie) answered(_ context.Context, m *bayeux.Message) error {
	if m.Outcome == bayeux.Succeeded {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.asked, t.good = 0, time.Now()
	}
	return nil
}

// A claim is that of a client: its session is over.
type claim struct {
	who, session string
	since, at    time.Time
	quiet        time.Duration // since the last good answer to a connect, or the beginning
	asked        int           // connects without an answer
	silent       bool          // and they were reason enough
}

// losses compare what clients say of their sessions with what servers do.
type losses struct {
	keeps    time.Duration // how long a server keeps a session whose client is away
	patience time.Duration // with a server that has told its clients to leave, and ends their sessions when it can

	mu      sync.Mutex
	ends    map[string]time.Time // of sessions
	kills   []time.Time          // of servers, with all their sessions
	claims  []claim
	claimed int
	givenUp int
}

func (x *losses) ended(session string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ends == nil {
		x.ends = map[string]time.Time{}
	}
	x.ends[session] = time.Now()
}

func (x *losses) killed() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.kills = append(x.kills, time.Now())
}

func (x *losses) claim(c claim) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.claims = append(x.claims, c)
	x.claimed++
	if c.silent {
		x.givenUp++
	}
}

// hearsay is how much sooner a client may know of an end than we do. A session
// that its client gave up for nothing lives on for twice as long.
const hearsay = time.Second

// settle complains of claims that came to nothing. It is true if none is open.
func (x *losses) settle(w *chamber) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	var open []claim
	for _, c := range x.claims {
		switch {
		case c.silent || x.wasOver(c):
		case time.Since(c.at) < hearsay:
			open = append(open, c)
		default:
			w.complain("listener %s has given up a session of %v after %v with %d connects, and it had not ended", c.who, c.at.Sub(c.since).Round(time.Millisecond), c.quiet.Round(time.Millisecond), c.asked)
		}
	}
	x.claims = open
	for session, at := range x.ends {
		if time.Since(at) > time.Minute {
			delete(x.ends, session)
		}
	}
	return len(open) == 0
}

// wasOver reports whether c is true. The caller holds mu.
func (x *losses) wasOver(c claim) bool {
	if at, ended := x.ends[c.session]; ended {
		return at.Before(c.at.Add(hearsay + x.patience))
	}
	for _, at := range x.kills {
		if at.After(c.since.Add(-hearsay)) && at.Before(c.at) {
			return true
		}
	}
	return false
}
