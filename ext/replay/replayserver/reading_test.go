package replayserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// A socket reads when the test wants it to.
type socket struct {
	t *testing.T
	transport.Conn
	id string
}

// open shakes hands, with more in the message if need be, and connects.
func open(t *testing.T, srv *server.Server, more ...string) *socket {
	conn, err := memory.NewDialer(srv.ServeConn).Dial(t.Context(), &transport.Target{URL: &url.URL{Scheme: "http", Host: "t"}, HTTP: &http.Client{}})
	require.NoError(t, err)
	s := &socket{t: t, Conn: conn}
	s.say(`{"channel":"/meta/handshake","id":"1","version":"1.0"` + strings.Join(more, "") + `}`)
	s.id = s.hear()[0].ClientID
	s.say(`{"channel":"/meta/connect","id":"2","clientId":"$"}`)
	s.hear()
	return s
}

func (s *socket) say(message string) {
	text := strings.ReplaceAll(message, `"$"`, `"`+s.id+`"`)
	require.NoError(s.t, s.Send(&transport.Payload{Messages: [][]byte{[]byte(text)}}))
}

func (s *socket) hear() (ms []*bayeux.Message) {
	r, err := s.Receive()
	require.NoError(s.t, err)
	require.NoError(s.t, json.NewDecoder(r).Decode(&ms))
	return ms
}

func (s *socket) subscribe(ch string) {
	s.say(fmt.Sprintf(`{"channel":"/meta/subscribe","id":"s","clientId":"$","subscription":%q,"ext":{"replay":{%q:-2}}}`, ch, ch))
}

// data are the numbers in the next n events, by channel, whatever marks are between.
func (s *socket) data(n int) map[string][]int {
	got := map[string][]int{}
	for n > 0 {
		for _, m := range s.hear() {
			if m.Data == nil || m.Channel == replay.Channel {
				continue
			}
			var d struct {
				Enveloped int `json:"replay.data"`
				Number    int `json:"number"` // in an object
			}
			require.NoError(s.t, m.Decode(&d))
			got[m.Channel] = append(got[m.Channel], d.Enveloped+d.Number)
			n--
		}
	}
	return got
}

// publish publishes the numbers from 0 to n-1.
func publish(t *testing.T, srv *server.Server, ch string, n int) (all []int) {
	for i := range n {
		require.NoError(t, srv.Publish(t.Context(), ch, i))
		all = append(all, i)
	}
	return all
}

// A restless store is one on whose channel something is published whenever it is
// read.
type restless struct {
	*replayserver.Memory
	publish func(read int)
	reads   int
}

func (s *restless) Read(ctx context.Context, pattern string, after, upTo replay.ID, each func(replayserver.Message) bool) error {
	s.reads++
	s.publish(s.reads)
	return s.Memory.Read(ctx, pattern, after, upTo, each)
}

// Who subscribes to a channel on which others always publish catches up all the
// same: after some rounds they wait for its last few messages.
func TestASubscriberCatchesUpWithPublishersThatNeverPause(t *testing.T) {
	s := &restless{Memory: replayserver.NewMemory(everything...)}
	srv := serve(t, s)
	const before, rounds = 10, 4
	all := publish(t, srv, "/a", before)
	var publishers sync.WaitGroup
	s.publish = func(read int) {
		next := len(all)
		all = append(all, next)
		said := make(chan struct{})
		publishers.Go(func() {
			assert.NoError(t, srv.Publish(t.Context(), "/a", next))
			close(said)
		})
		if read <= rounds {
			<-said
			return
		}
		select {
		case <-said:
			t.Error("delivered while the last few messages are read")
		case <-time.After(50 * time.Millisecond):
		}
	}
	c := open(t, srv)
	c.subscribe("/a")
	got := c.data(before + rounds + 1)
	publishers.Wait()
	assert.Equal(t, all, got["/a"])
	assert.Equal(t, rounds+1, s.reads)
	c.Close(transport.Normal)
	srv.Close()
}

// What was published while the past was read is more than an outbox holds: it
// leaves at the pace of its reader all the same.
func TestTheEndOfThePastLeavesAtThePaceOfItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &restless{Memory: replayserver.NewMemory(everything...)}
		h, err := replayserver.New(s)
		require.NoError(t, err)
		srv, err := server.New(h, server.WithLimits(server.Limits{SessionBytes: 20_000}))
		require.NoError(t, err)
		total := 0
		s.publish = func(read int) {
			for range 40 {
				if read > 4 {
					return
				}
				data := map[string]any{"number": total, "filled": strings.Repeat("x", 2000)}
				require.NoError(t, srv.Publish(t.Context(), "/a", data))
				total++
			}
		}
		s.publish(0)
		c := open(t, srv)
		c.subscribe("/a")
		got := c.data(5 * 40)["/a"]
		assert.Len(t, got, total)
		assert.True(t, slices.IsSorted(got))
		require.NoError(t, srv.Publish(t.Context(), "/a", total))
		assert.Equal(t, []int{total}, c.data(1)["/a"], "it is live")
		c.Close(transport.Normal)
		srv.Close()
	})
}

// A client may write a channel with a slash at its end wherever it names it.
func TestAPositionIsFoundHoweverItsChannelIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := serve(t, replayserver.NewMemory(everything...))
		publish(t, srv, "/a", 3)
		for _, names := range [][2]string{{"/a", "/a"}, {"/a/", "/a/"}, {"/a/", "/a"}, {"/a", "/a/"}} {
			c := open(t, srv)
			c.say(fmt.Sprintf(`{"channel":"/meta/subscribe","id":"s","clientId":"$","subscription":%q,"ext":{"replay":{%q:-2}}}`, names[0], names[1]))
			assert.Equal(t, []int{0, 1, 2}, c.data(3)["/a"])
			c.Close(transport.Normal)
		}
		srv.Close()
	})
}

// A peer that takes nothing has one reader, however much of the past it asks
// for, and however often; and who then takes it gets all.
func TestASessionHasOneReaderHoweverMuchItSubscribesTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := replayserver.New(replayserver.NewMemory(everything...))
		require.NoError(t, err)
		srv, err := server.New(h, server.WithLimits(server.Limits{SessionBytes: 20_000}))
		require.NoError(t, err)
		const channels, messages = 50, 100
		want := map[string][]int{}
		for i := range channels {
			ch := fmt.Sprint("/past/", i)
			want[ch] = publish(t, srv, ch, messages)
		}
		publish(t, srv, "/first", 2000) // more than a socket and an outbox hold
		s := open(t, srv)
		s.subscribe("/first")
		synctest.Wait()
		before := runtime.NumGoroutine()
		for ch := range want {
			for range 3 {
				s.subscribe(ch)
				s.say(fmt.Sprintf(`{"channel":"/meta/unsubscribe","id":"u","clientId":"$","subscription":%q}`, ch))
			}
			s.subscribe(ch)
		}
		synctest.Wait()
		assert.Less(t, runtime.NumGoroutine(), before+5)
		got := s.data(2000 + channels*messages)
		assert.Len(t, got["/first"], 2000)
		delete(got, "/first")
		assert.Equal(t, want, got)
		s.Close(transport.Normal)
		srv.Close()
	})
}

// One that asks for much does not keep the others of its session waiting for all
// of it.
func TestSubscriptionsOfASessionGetTheirPastByTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := serve(t, replayserver.NewMemory(everything...))
		publish(t, srv, "/much", 10_000)
		publish(t, srv, "/little", 10)
		s := open(t, srv)
		s.say(`{"channel":"/meta/subscribe","id":"s","clientId":"$","subscription":["/much","/little"],"ext":{"replay":{"/much":-2,"/little":-2}}}`)
		before := 0
		for little := 0; little < 10; {
			got := s.data(1)
			before += len(got["/much"])
			little += len(got["/little"])
		}
		assert.Less(t, before, 5000)
		assert.Len(t, s.data(10_000 - before)["/much"], 10_000-before)
		s.Close(transport.Normal)
		srv.Close()
	})
}

// A reader that waits for its client keeps little of what the store has let go of
// meanwhile, also of large messages.
func TestAReaderThatWaitsKeepsLittleOfWhatIsGone(t *testing.T) {
	onStores(t, []replayserver.Rule{{Pattern: "/**", Messages: 100}}, func(t *testing.T, s replayserver.Store) {
		add := func(size int) {
			kept := make(chan error)
			s.Append("/a", func(replay.ID) []byte { return []byte(`"` + strings.Repeat("x", size) + `"`) }, func(_ replay.ID, _ []byte, err error) { go func() { kept <- err }() })
			require.NoError(t, <-kept)
		}
		before := heap()
		for range 100 {
			add(100_000)
		}
		err := s.Read(t.Context(), "/a", 0, 1<<62, func(replayserver.Message) bool {
			for range 100 {
				add(1)
			}
			assert.Less(t, heap()-before, 2_000_000)
			return false
		})
		require.NoError(t, err)
	})
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
