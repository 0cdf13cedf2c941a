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
