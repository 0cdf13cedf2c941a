//go:build !js

package wire

import (
	"sync/atomic"
	"time"
)

// A pulse pings a quiet peer and cuts the Socket if nothing comes back.
type pulse struct {
	every, wait time.Duration
	start       time.Time
	heard       atomic.Int64 // when something came last, after start

	// Under Socket.mu.
	timer  *time.Timer
	asked  bool   // a ping was sent at the last beat,
	reads  uint32 // and this was Socket.reads
	behind bool   // the ping may not have left, for others were writing at the last beat,
	writes uint32 // and this was Socket.writes
}

// Pulse sends a ping when nothing arrived for every, and cuts the Socket with
// ErrSilent if nothing arrives for wait after that. A Socket that nobody reads
// from is not judged: its peer's answer would not be seen. Nor is a peer that
// takes what is written before the ping, a piece within each wait: it has not
// been asked yet. Pulse is called before the first Read.
func (s *Socket) Pulse(every, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulse = &pulse{every: every, wait: wait, start: time.Now()}
	s.pulse.timer = time.AfterFunc(every, s.beat)
}

func (p *pulse) hear() {
	if p != nil {
		p.heard.Store(int64(time.Since(p.start)))
	}
}

// beat does what is due and sets the timer for what is due next.
func (s *Socket) beat() {
	s.mu.Lock()
	p, reads := s.pulse, s.reads.Load()
	quiet := time.Since(p.start) - time.Duration(p.heard.Load())
	reading := reads%2 == 1
	switch {
	case s.err != nil || s.shut:
	case p.asked && reading && reads == p.reads: // the same read waits still
		if p.progress(s) {
			p.timer.Reset(p.wait)
		} else {
			s.cut(ErrSilent)
		}
	case reading && quiet >= p.every:
		p.asked, p.reads = true, reads
		p.behind, p.writes = s.busy, s.writes.Load()
		p.timer.Reset(p.wait)
		if s.busy && len(s.control) > 0 { // what we owe goes first: there is one place to wait
			s.mu.Unlock()
			return
		}
		s.putAndUnlock(control(fin|opPing, nil, s.cfg.Client))
		return
	case quiet >= p.every:
		p.asked = false
		p.timer.Reset(p.every)
	default:
		p.asked = false
		p.timer.Reset(p.every - quiet)
	}
	s.mu.Unlock()
}

// progress reports whether the peer took something since the last beat where the
// ping was behind that: it may not have left before now.
func (p *pulse) progress(s *Socket) bool {
	writes := s.writes.Load()
	moved := p.behind && writes != p.writes
	p.behind, p.writes = s.busy, writes
	return moved
}
