package server

import (
	"sync"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

// Who writes, and when.
//
// Putting an event into an outbox never waits. If the session has a stream,
// whoever finds the stream's flush token free takes it and sees to a flush:
// one goroutine at a time writes to a stream, takes all that waits, up to a
// frame, and gives the token back under the locks when nothing is left. So a
// lone message leaves at once, and under load batches grow by themselves.
//
// A session on polling has no stream: its held connect is answered, which
// takes all that waits, or the next reply does.

// flush makes sure that somebody writes what l's session and l's replies have.
func (srv *Server) flush(l *link) {
	if l.dirty.CompareAndSwap(false, true) {
		srv.write(l)
	}
}

// write sees to the writing of streams whose tokens its caller has taken: the
// shards do it where they can, else a goroutine each for as long as there is
// something.
func (srv *Server) write(links ...*link) {
	if len(srv.shards) == 1 && allStart(links) {
		srv.shards[0].push(len(links), links...)
		return
	}
	for _, l := range links {
		if l.starter != nil {
			l.shard.push(len(links), l)
		} else {
			srv.run(l.flush)
		}
	}
}

func allStart(links []*link) bool {
	for _, l := range links {
		if l.starter == nil {
			return false
		}
	}
	return len(links) > 0
}

// flush writes until nothing is left. Its caller has the token.
func (l *link) flush() {
	if d := l.srv.flushDelay; d > 0 {
		select {
		case <-time.After(d):
		case <-l.srv.closing:
		}
	}
	f := newFrame()
	defer f.free()
	for l.next(f) {
		err := l.send(f)
		more := l.sent(f, err)
		if err != nil {
			l.fail(err)
		}
		if err != nil || !more {
			return
		}
	}
}

// send sends a frame, unless the application's filter leaves nothing of it. It
// waits for both.
func (l *link) send(f *frame) error {
	if !f.filtered(l.srv) {
		return nil
	}
	return l.conn.Send(&f.Payload)
}

// A frame is what one Send to a stream carries.
type frame struct {
	transport.Payload
	session *Session // whose events or connect it has, if any
	taken   bool     // it has events
	events  int      // so many, first of all
	filter  func([]*bayeux.Message) []*bayeux.Message
	bytes   int // of replies
	connect bool

	link *link       // of a frame that a shard writes
	done func(error) // its finish
}

var frames sync.Pool

func newFrame() *frame {
	if f, ok := frames.Get().(*frame); ok {
		return f
	}
	f := new(frame)
	f.done = f.finish
	return f
}

// reset lets go of what f carried.
func (f *frame) reset() {
	clear(f.Messages)
	*f = frame{Payload: transport.Payload{Messages: f.Messages[:0]}, done: f.done}
}

func (f *frame) free() {
	if f.reset(); cap(f.Messages) <= 1024 {
		frames.Put(f)
	}
}

// filtered shows the events to the application's filter, if there is one, and
// reports whether anything is left to send.
func (f *frame) filtered(srv *Server) bool {
	if f.filter == nil || !f.taken {
		return true
	}
	left := srv.filter(f.session, f.filter, f.Messages[:f.events])
	f.Messages = append(left, f.Messages[f.events:]...)
	f.events = len(left)
	return len(f.Messages) > 0
}

// next fills f with what is to be written now. If there is nothing it gives
// the token back and reports false.
func (l *link) next(f *frame) bool {
	s := l.lock()
	defer l.unlock(s)
	f.reset()
	limit := l.srv.limits.FrameBytes
	handshake := len(l.replies) > 0 && l.replies[0].kind == transport.Handshake
	if s != nil && s.stream == l && s.sender == nil && !handshake {
		f.connect = s.due != nil
		if s.eventsFirst(l) || f.connect && s.out.mayLeaveTo(l.peer) {
			f.takeEvents(s, l)
		}
	}
	if f.taken && l.srv.limits.FrameMessages >= 0 && !s.onConnectOnly(l) {
		f.connect = false
		return true // replies follow in a frame of their own
	}
	l.takeReplies(f, s, limit)
	if f.connect = f.connect && (s.reached(s.dueAt) || !s.out.mayLeaveTo(l.peer)); f.connect {
		f.Messages = append(f.Messages, s.due)
		s.due = nil
		s.answersOn(l)
		s.out.carries(s.out.due, f.taken)
		f.session = s
	}
	if len(f.Messages) == 0 {
		l.dirty.Store(false)
		return false
	}
	return true
}

// lock locks the session that l carries, if any, and l itself.
func (l *link) lock() *Session {
	for {
		s := l.session.Load()
		if s != nil {
			s.mu.Lock()
		}
		l.mu.Lock()
		if l.session.Load() == s {
			return s
		}
		l.unlock(s)
	}
}

func (l *link) unlock(s *Session) {
	l.mu.Unlock()
	if s != nil {
		s.mu.Unlock()
	}
}

// takeEvents takes as many events as go into a frame. Those that leave with a
// connect reply only are not counted: it would take a round trip for each.
func (f *frame) takeEvents(s *Session, l *link) {
	limits, messages := &l.srv.limits, none
	if !s.onConnectOnly(l) {
		messages = limits.FrameMessages
	}
	f.Messages = s.out.take(f.Messages, limits.FrameBytes, messages)
	if f.events = len(f.Messages); f.events > 0 {
		f.session, f.filter = s, s.out.filter
		f.taken = true
		s.sender = l
		return
	}
	s.out.flying = 0 // what is kept does not fly
}

// takeReplies adds the replies whose events have left or leave with them, up
// to a frame. A handshake's reply is alone in its frame (docs/protocol.md §8).
func (l *link) takeReplies(f *frame, s *Session, limit int) {
	n, size := 0, f.Len()
	for _, r := range l.replies {
		if r.session == s && s != nil && s.stream == l && s.eventsFirst(l) && !s.reached(r.after) {
			break
		}
		size += len(r.text) + 1
		if len(f.Messages) > 0 && (r.kind == transport.Handshake || exceeds(size, limit)) {
			break
		}
		f.Messages = append(f.Messages, r.text)
		f.bytes += len(r.text)
		n++
		if r.kind == transport.Handshake {
			f.Kind = transport.Handshake
			break
		}
	}
	clear(l.replies[:n])
	if l.replies = l.replies[n:]; len(l.replies) == 0 {
		l.replies = nil
	}
}

// eventsFirst reports whether events leave before the replies that follow them,
// connects apart. A client that counts its messages and has yet to say on l what
// it has gets its replies alone. The caller holds mu.
func (s *Session) eventsFirst(l *link) bool { return s.out.mayLeaveTo(l.peer) && !s.onConnectOnly(l) }

// reached reports whether so many of the session's events have left or are
// leaving. The caller holds mu.
func (s *Session) reached(after uint64) bool { return s.out.base+uint64(s.out.busy()) >= after }

// sent notes how sending a frame went, and reports whether there is more to
// write. If not, it has given the token back.
func (l *link) sent(f *frame, err error) (more bool) {
	if err == nil && len(f.Messages) > 0 {
		l.srv.count(l, &f.Payload, f.events)
	}
	var w wakes
	s := l.lock()
	if s != nil && s == f.session {
		s.settleLocked(l, sent{events: f.taken, connect: f.connect, ok: err == nil}, &w)
	}
	if !l.ended { // which has counted them out
		l.left(f.bytes)
	}
	if more = l.more(s); !more && err == nil {
		l.dirty.Store(false)
	}
	l.unlock(s)
	if x := f.session; x != nil && x != s {
		x.settle(l, sent{events: f.taken, connect: f.connect, ok: err == nil})
	}
	w.flush(l.srv)
	return more
}

// more reports whether next is worth a try. The caller holds both locks.
func (l *link) more(s *Session) bool {
	if len(l.replies) > 0 {
		return true
	}
	if s == nil || s.stream != l || s.sender != nil {
		return false
	}
	return s.due != nil || s.urgent && s.batching == 0 && s.out.waiting() && s.eventsFirst(l)
}
