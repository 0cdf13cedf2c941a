package server

import (
	"iter"
	"maps"
	"slices"

	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

// sessionTable finds sessions by id.
type sessionTable struct {
	mu      lock.RWMutex[lock.Sessions]
	byID    map[string]*Session
	byAddr  map[string]int      // sessions of each remote address that counts
	parting map[string]*Session // have ended, by a kick or a limit, and wait for a connect that is told so
	limited int                 // of them, those that a limit has ended
	closed  bool                // none is waited for any more
}

func (t *sessionTable) init() {
	t.byID, t.byAddr, t.parting = map[string]*Session{}, map[string]int{}, map[string]*Session{}
}

func (t *sessionTable) get(id []byte) *Session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byID[string(id)]
}

// add lists s, or names the limit that forbids it, and its value.
func (t *sessionTable) add(s *Session, c *config) (broken string, limit int) {
	addr := s.addr(c.loopbackSessions)
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := c.limits.Sessions; exceeds(len(t.byID)+1, l) {
		return limitSessions, l
	}
	if l := c.limits.SessionsPerAddr; addr != "" && exceeds(t.byAddr[addr]+1, l) {
		return limitSessionsPerAddr, l
	}
	t.byID[s.id] = s
	add(t.byAddr, addr, 1)
	return "", 0
}

// find is get for messages of a client, which may not know yet that its session
// has ended.
func (t *sessionTable) find(id []byte) *Session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if s := t.byID[string(id)]; s != nil {
		return s
	}
	return t.parting[string(id)]
}

// Sessions that have ended may wait to tell their clients why, and count in no limit
// themselves: so many that a limit has ended, and so many that were kicked. The client
// of one more gets a plain 402.
const (
	mostLimited = 1000
	mostKicked  = 10_000
)

// remove takes out s, whose client may have to be told yet: waits is whether s waits
// for that.
func (t *sessionTable) remove(s *Session, parts bool) (waits bool) {
	addr := s.addr(s.srv.loopbackSessions)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID[s.id] != s {
		return false
	}
	delete(t.byID, s.id)
	add(t.byAddr, addr, -1)
	return parts && t.letWait(s)
}

// wait has a session that has ended wait for its client's next connect. It is false
// if too many do.
func (t *sessionTable) wait(s *Session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.letWait(s)
}

// letWait is wait for a caller that holds mu.
func (t *sessionTable) letWait(s *Session) bool {
	if t.parting[s.id] != nil {
		return true
	}
	kicked := s.why == transport.Kicked
	switch {
	case t.closed, kicked && len(t.parting)-t.limited >= mostKicked, !kicked && t.limited >= mostLimited:
		return false
	case !kicked:
		t.limited++
	}
	t.parting[s.id] = s
	return true
}

// close ends that any more wait: nobody will come.
func (t *sessionTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// addr is the address that shook hands, if it counts towards a limit: one of
// this machine only if the loopback does.
func (s *Session) addr(loopback bool) string {
	host := hostOf(s.peer.Addr)
	if !loopback && isLocal(host) {
		return ""
	}
	return host
}

func (t *sessionTable) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.byID)
}

// all is a snapshot, so that walking it blocks no traffic, in memory that may be
// there already.
func (t *sessionTable) all(in []*Session) []*Session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.AppendSeq(slices.Grow(in, len(t.byID)), maps.Values(t.byID))
}

// allParting are the sessions that have ended and wait for a connect that is told so.
func (t *sessionTable) allParting() []*Session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Collect(maps.Values(t.parting))
}

func (t *sessionTable) forget(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.parting[s.id] == nil {
		return
	}
	delete(t.parting, s.id)
	if s.why != transport.Kicked {
		t.limited--
	}
}

// Session returns the session of that id, nil if there is none now.
func (srv *Server) Session(id string) *Session { return srv.sessions.get([]byte(id)) }

// Sessions yields the sessions that there are when the loop begins; walking them blocks
// no traffic.
func (srv *Server) Sessions() iter.Seq[*Session] {
	return func(yield func(*Session) bool) { slices.Values(srv.sessions.all(nil))(yield) }
}
