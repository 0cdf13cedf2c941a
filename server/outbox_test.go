package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/transport"
)

// A session that drops messages while others are on their way, for as long as
// it lives, and hears of ever new channels.
func TestLatestOfAChannelIsForgottenWhenItHasLeft(t *testing.T) {
	srv, err := New()
	require.NoError(t, err)
	defer srv.Close()
	s := &Session{srv: srv}
	s.out.session = s
	limits := &Limits{SessionBytes: none, SessionMessages: 4}
	for round := range 100 {
		s.mu.Lock()
		for i := range 2 { // these fly
			s.out.push(&event{text: []byte("{}"), channel: &channel{name: fmt.Sprintf("/flown/%d/%d", round, i)}}, KeepLatest, limits, nil)
		}
		s.out.take(nil, none, none)
		for i := range 10 { // and of these most are dropped
			s.out.push(&event{text: []byte("{}"), channel: &channel{name: fmt.Sprintf("/dropped/%d/%d", round, i)}}, KeepLatest, limits, nil)
		}
		s.out.settle(true)
		s.mu.Unlock()
		assert.Len(t, s.out.latest, len(s.out.queue), "in round %d", round)
		s.mu.Lock()
		s.out.take(nil, none, none)
		s.out.settle(true)
		s.mu.Unlock()
	}
	assert.Empty(t, s.out.latest)
}

// Those that were on their way when others were dropped, and came back, stay where
// they are: the newest comes last.
func TestTheLatestOfAChannelComesAfterThoseBeforeIt(t *testing.T) {
	srv, err := New()
	require.NoError(t, err)
	defer srv.Close()
	s := &Session{srv: srv}
	s.out.session = s
	channels := map[byte]*channel{}
	limits := &Limits{SessionBytes: none, SessionMessages: 4}
	push := func(names ...string) {
		for _, name := range names {
			if channels[name[0]] == nil {
				channels[name[0]] = &channel{name: "/" + name[:1]}
			}
			s.out.push(&event{text: []byte(name), channel: channels[name[0]]}, KeepLatest, limits, nil)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	push("A1", "B1")
	s.out.take(nil, none, none)
	push("C1", "D1", "E1")
	s.out.settle(false)
	limits.SessionMessages = none
	push("B2", "E2")
	var queue []string
	for _, e := range s.out.queue {
		queue = append(queue, string(e.text))
	}
	assert.Equal(t, []string{"A1", "B1", "D1", "E2", "B2"}, queue)
}

// A token may be renewed in the moment in which it expires.
func TestATimeToExpireThatWasReplacedEndsNothing(t *testing.T) {
	srv, err := New()
	require.NoError(t, err)
	defer srv.Close()
	s := &Session{srv: srv, peer: &transport.Peer{}}
	s.out.session = s
	s.Expire(time.Now().Add(time.Hour), 0)
	old := s.expiry
	s.Expire(time.Now().Add(2*time.Hour), 0)
	srv.endWith(s, &ending{why: transport.Expired, at: old}) // as the first timer does if it has fired
	assert.NotEqual(t, gone, s.phase)
	srv.endWith(s, &ending{why: transport.Expired, at: s.expiry})
	assert.Equal(t, gone, s.phase)
}
