package server

import (
	"errors"
	"iter"
	"maps"
	"slices"

	"github.com/gocometd/cometd/internal/lock"
)

// SetUser says whose session it is, usually in Policy.Handshake. "" is nobody,
// which is the default.
func (s *Session) SetUser(name string) { s.srv.users.set(s, name) }

// User returns what [Session.SetUser] was given last.
func (s *Session) User() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.user
}

// UserSessions yields the sessions that one user has when the loop begins.
func (srv *Server) UserSessions(name string) iter.Seq[*Session] {
	return func(yield func(*Session) bool) { slices.Values(srv.users.of(name))(yield) }
}

// SendUser delivers data on ch to all sessions of one user, as [Session.Send]
// does to one. It is no error if there is none, but one if the name is empty, or as
// there.
func (srv *Server) SendUser(name, ch string, data any) error {
	text, err := srv.encodeEvent(ch, data)
	if err != nil {
		return err
	}
	if name == "" {
		return errors.New("server: user without a name")
	}
	e := srv.eventOf(text)
	for _, x := range srv.users.of(name) {
		x.deliver(e)
	}
	return nil
}

// userTable finds sessions by user.
type userTable struct {
	mu     lock.RWMutex[lock.Users]
	byName map[string]map[*Session]struct{}
}

func (t *userTable) of(name string) []*Session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Collect(maps.Keys(t.byName[name]))
}

// set makes s a session of that user only. One that has ended is nobody's,
// though it still knows its user's name.
func (t *userTable) set(s *Session, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.mu.Lock()
	old, ended := s.user, s.phase == gone
	if !ended {
		s.user = name
	}
	s.mu.Unlock()
	if delete(t.byName[old], s); len(t.byName[old]) == 0 {
		delete(t.byName, old)
	}
	if ended || name == "" {
		return
	}
	if t.byName[name] == nil {
		t.byName[name] = map[*Session]struct{}{}
	}
	t.byName[name][s] = struct{}{}
}
