package server_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
)

// Whatever clients do in whatever order, each sees the messages in order and
// none twice, and nothing of them is left in the end.
func TestRandomLivesKeepTheOrderAndLeaveNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		seed := rand.Uint64()
		t.Log("seed", seed)
		live(t, w, rand.New(rand.NewPCG(seed, 0)))
		for _, c := range w.wire {
			c.cut()
		}
		time.Sleep(time.Minute)
		s := w.Stats()
		require.Zero(t, s.Sessions)
		require.Zero(t, s.QueuedBytes)
		require.Zero(t, s.Held)
		require.Zero(t, s.Conns)
		require.Zero(t, w.SubscriberCount("/t"))
	})
}

func live(t *testing.T, w *world, r *rand.Rand) {
	clients := make([]*wire, 8)
	last := make([]int, len(clients))
	for i := range clients {
		clients[i] = w.session("/t")
		last[i] = -1
	}
	for n := range 400 {
		i := r.IntN(len(clients))
		c := clients[i]
		switch r.IntN(12) {
		case 0:
			c.cut()
		case 1:
			time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
		case 2:
			if s := w.Session(c.id); s != nil && r.IntN(4) == 0 {
				s.Disconnect()
			}
		case 3:
			c.send(`{"channel":"/meta/connect","id":"p","clientId":"$","advice":{"timeout":0}}`)
		case 4:
			c.send(`{"channel":"/x","id":"x","clientId":"$","data":1}`, `{"channel":"/meta/subscribe","id":"s","clientId":"$","subscription":"/t"}`)
		case 5:
			go w.Publish(t.Context(), "/other", n)
		default:
			require.NoError(t, w.Publish(t.Context(), "/t", n))
		}
		if w.Session(c.id) == nil {
			c.cut()
			c.all()
			c.handshake()
			c.begin("/t")
			last[i] = -1
		}
		for j, c := range clients {
			for _, m := range c.all() {
				switch {
				case m.Channel == "/t" && m.Data != nil:
					got, err := strconv.Atoi(string(m.Data))
					require.NoError(t, err)
					require.Greater(t, got, last[j], "client %d", j)
					last[j] = got
				case m.Channel == bayeux.MetaConnect && m.Outcome == bayeux.Succeeded && m.Advice.ShouldRetry():
					c.connect(fmt.Sprint("n", n))
				}
			}
		}
	}
}
