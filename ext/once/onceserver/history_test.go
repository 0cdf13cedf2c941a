package onceserver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/once"
	"github.com/gocometd/cometd/server"
)

// kept is what a history says that it holds, and what it holds.
func kept(t *testing.T, h *history) (clients, publishes int) {
	bytes := 0
	for e := h.recent.Front(); e != nil; e = e.Next() {
		c := e.Value.(*client)
		clients++
		publishes += len(c.order)
		bytes += clientBytes + len(c.name)
		for _, a := range c.order {
			bytes += a.bytes
			assert.Same(t, a, c.byID[a.id])
		}
		assert.Len(t, c.byID, len(c.order))
	}
	assert.Equal(t, bytes, h.bytes)
	assert.Len(t, h.byName, clients)
	return clients, publishes
}

func remember(h *history, client, id string) (*answer, bool) {
	return h.remember(once.Key{Client: client, ID: id}, asked{new(server.Session), "m" + id, nil})
}

func TestTheClientsThatWereSilentLongestAreForgotten(t *testing.T) {
	h := newHistory()
	WithClients(3)(h)
	for i := range 5 {
		remember(h, fmt.Sprint(i), "1")
		if _, first := remember(h, "0", "1"); first {
			t.Error("0 is heard all the time")
		}
	}
	clients, publishes := kept(t, h)
	assert.Equal(t, []int{3, 3}, []int{clients, publishes})
	for client, forgotten := range map[string]bool{"3": false, "4": false, "0": false} {
		_, first := remember(h, client, "1")
		assert.Equal(t, forgotten, first, client)
	}
	_, first := remember(h, "1", "1")
	assert.True(t, first)
}

func TestTheOldestPublishesOfAClientAreForgottenAndNobodyWaitsForTheirAnswer(t *testing.T) {
	h := newHistory()
	WithPublishes(2)(h)
	oldest, _ := remember(h, "a", "1")
	remember(h, "a", "2")
	remember(h, "a", "3")
	_, publishes := kept(t, h)
	assert.Equal(t, 2, publishes)
	select {
	case <-oldest.done:
	default:
		t.Error("who waits for it waits for ever")
	}
	assert.Nil(t, h.reply(oldest))
}

func TestAllThatIsRememberedHasItsBytes(t *testing.T) {
	h := newHistory()
	const most = 8 << 10
	WithBytes(most)(h)
	for i := range 100 {
		s, id := new(server.Session), fmt.Sprint(i)
		h.remember(once.Key{Client: fmt.Sprint(i % 7), ID: id}, asked{s, id, nil})
		h.answered(&speaker{client: fmt.Sprint(i % 7)}, s, &bayeux.Message{ID: id, Outcome: bayeux.Failed, Error: strings.Repeat("x", 100*(i%9)),
			Ext: bayeux.Ext{"why": []byte(`"because"`)}})
		kept(t, h)
		assert.LessOrEqual(t, h.bytes, most)
	}
	s := new(server.Session)
	h.remember(once.Key{Client: "one", ID: "1"}, asked{s, "1", nil})
	h.answered(&speaker{client: "one"}, s, &bayeux.Message{ID: "1", Outcome: bayeux.Failed, Error: strings.Repeat("x", 2*most)})
	clients, publishes := kept(t, h)
	assert.Equal(t, []int{1, 1}, []int{clients, publishes}, "the last one stays, however long")
	h.answered(&speaker{client: "nobody"}, s, &bayeux.Message{ID: "1", Outcome: bayeux.Succeeded})
	kept(t, h)
}
