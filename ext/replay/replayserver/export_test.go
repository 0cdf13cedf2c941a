package replayserver

import (
	"context"
	"testing"

	"github.com/gocometd/cometd/bayeux"
)

// Channels is how many channels a store in memory remembers that match pattern,
// after a look at them; of another store none.
func Channels(t *testing.T, s Store, pattern string) (n int) {
	m, ok := s.(*Memory)
	if !ok {
		return 0
	}
	if _, _, err := m.Bounds(pattern); err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for ch := range m.channels {
		if bayeux.Channel(pattern).Match(ch) {
			n++
		}
	}
	return n
}

// Join asks the history of a store about each channel of a subscribe, as a server
// does.
func Join(s Store, m *bayeux.Message) error {
	join := (&history{store: s}).join(context.Background(), nil, m)
	for _, ch := range m.Subscription.Channels {
		if _, err := join(ch); err != nil {
			return err
		}
	}
	return nil
}
