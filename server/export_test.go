package server

// Holds reports whether a connect of that id is held.
func (s *Session) Holds(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held.link != nil && s.held.id == id
}
