package replay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// newServer is one with history whose connections can be cut.
func newServer(t *testing.T, store replayserver.Store) *server.Server {
	h, err := replayserver.New(store)
	require.NoError(t, err)
	srv, err := server.New(h)
	require.NoError(t, err)
	return srv
}

func dial(t *testing.T, srv *server.Server, c replay.Config) *client.Client {
	cl, err := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)), client.WithExtension(replay.Client(c)))
	require.NoError(t, err)
	return cl
}

// A session is lost while messages wait to be handled and others are published:
// nothing is missed, nothing comes twice, and no gap is told.
func TestALostSessionMissesAndRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, replayserver.NewMemory(replayserver.Rule{Pattern: "/**"}))
		c := dial(t, srv, replay.Config{})
		sub, err := c.Subscribe(t.Context(), "/a/*", client.WithOnGap(func(g client.Gap) { t.Errorf("gap %+v", g) }))
		require.NoError(t, err)
		for i := range 60 {
			require.NoError(t, srv.Publish(t.Context(), fmt.Sprintf("/a/%d", i%2), i))
			if i == 20 {
				synctest.Wait() // received, and waits to be handled
				for s := range srv.Sessions() {
					s.Expire(time.Now(), 0)
				}
			}
		}
		next := 0
		for m := range sub.Messages(t.Context()) {
			require.Equal(t, strconv.Itoa(next), string(m.Data))
			if next++; next == 60 {
				break
			}
		}
		c.Close()
		srv.Close()
	})
}

func TestAPositionIsStoredWhenTheMessageWasHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, replayserver.NewMemory(replayserver.Rule{Pattern: "/**"}))
		positions := new(replay.Memory)
		fail := errors.New("cannot")
		var got []string
		run := func(until string) {
			c := dial(t, srv, replay.Config{Store: positions, First: replay.All})
			sub, err := c.SubscribeFunc(t.Context(), "/a", func(_ context.Context, m *bayeux.Message) error {
				got = append(got, string(m.Data))
				if string(m.Data) == until {
					return fail
				}
				return nil
			})
			require.NoError(t, err)
			<-sub.Done()
			c.Close()
		}
		for i := range 5 {
			require.NoError(t, srv.Publish(t.Context(), "/a", i))
		}
		run("2")
		run("4")
		assert.Equal(t, []string{"0", "1", "2", "2", "3", "4"}, got, "only what was not handled comes again")
		srv.Close()
	})
}

// noted is a Memory that notes what is saved.
type noted struct {
	replay.Memory
	mu    sync.Mutex
	saved []replay.ID
}

func (n *noted) Save(ctx context.Context, ch string, id replay.ID) error {
	n.mu.Lock()
	n.saved = append(n.saved, id)
	n.mu.Unlock()
	return n.Memory.Save(ctx, ch, id)
}

// What a full queue gives up moves no position past a message that is still being
// handled, and none goes back when that is done.
func TestAPositionPassesNoMessageThatIsBeingHandled(t *testing.T) {
	for name, o := range map[string]client.Overflow{"oldest": client.DropOldest, "latest": client.KeepLatest} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := newServer(t, replayserver.NewMemory(replayserver.Rule{Pattern: "/**"}))
				positions := &noted{}
				c := dial(t, srv, replay.Config{Store: positions})
				busy := make(chan struct{})
				var handled []replay.ID
				var last string
				_, err := c.SubscribeFunc(t.Context(), "/a", func(_ context.Context, m *bayeux.Message) error {
					<-busy
					var id replay.ID
					_, err := m.Ext.Decode(replay.Name, &id)
					handled, last = append(handled, id), string(m.Data)
					return err
				}, client.WithQueue(2, o))
				require.NoError(t, err)
				for i := range 5 {
					require.NoError(t, srv.Publish(t.Context(), "/a", i))
					synctest.Wait()
				}
				assert.Empty(t, positions.saved)
				close(busy)
				synctest.Wait()
				assert.Equal(t, handled, positions.saved)
				assert.IsIncreasing(t, handled)
				assert.Equal(t, "4", last)
				c.Close()
				srv.Close()
			})
		})
	}
}

func TestAnExpiredPositionFallsBackAndIsTold(t *testing.T) {
	for expired, want := range map[replay.ID]string{replay.All: "2", replay.New: "9"} {
		synctest.Test(t, func(t *testing.T) {
			srv := newServer(t, replayserver.NewMemory(replayserver.Rule{Pattern: "/a", Messages: 2}))
			positions := new(replay.Memory)
			require.NoError(t, positions.Save(t.Context(), "/a", 1))
			for i := range 4 {
				require.NoError(t, srv.Publish(t.Context(), "/a", i))
			}
			c := dial(t, srv, replay.Config{Store: positions, Expired: expired})
			var gaps []client.Gap
			sub, err := c.Subscribe(t.Context(), "/a", client.WithOnGap(func(g client.Gap) { gaps = append(gaps, g) }))
			require.NoError(t, err)
			if expired == replay.New {
				srv.Publish(t.Context(), "/a", 9)
			}
			for m := range sub.Messages(t.Context()) {
				assert.Equal(t, want, string(m.Data))
				break
			}
			assert.Len(t, gaps, 1, "told in place")
			assert.Zero(t, gaps[0].From, "nothing had come")
			c.Close()
			srv.Close()
		})
	}
}

// A subscribe of several channels is refused as a whole, for one of them.
func TestAnExpiredPositionCostsNoOtherChannelItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, replayserver.NewMemory(replayserver.Rule{Pattern: "/a", Messages: 1}, replayserver.Rule{Pattern: "/b"}))
		positions := new(replay.Memory)
		var last replay.ID
		for i := range 3 {
			require.NoError(t, srv.Publish(t.Context(), "/a", i))
			require.NoError(t, srv.Publish(t.Context(), "/b", i))
		}
		c := dial(t, srv, replay.Config{First: replay.All})
		all, err := c.Subscribe(t.Context(), "/b")
		require.NoError(t, err)
		for m := range all.Messages(t.Context()) {
			_, err = m.Ext.Decode(replay.Name, &last)
			require.NoError(t, err)
			if string(m.Data) == "1" {
				break
			}
		}
		c.Close()
		require.NoError(t, positions.Save(t.Context(), "/a", 1))
		require.NoError(t, positions.Save(t.Context(), "/b", last))
		c = dial(t, srv, replay.Config{Store: positions})
		var gaps []string
		sub, err := c.Subscribe(t.Context(), "/a", client.WithChannels("/b"), client.WithOnGap(func(g client.Gap) { gaps = append(gaps, g.Channel) }))
		require.NoError(t, err)
		var got []string
		for m := range sub.Messages(t.Context()) {
			if got = append(got, m.Channel+" "+string(m.Data)); len(got) == 2 {
				break
			}
		}
		assert.ElementsMatch(t, []string{"/a 2", "/b 2"}, got)
		assert.Equal(t, []string{"/a"}, gaps)
		c.Close()
		srv.Close()
	})
}

// The envelope is the server's: what a publisher calls by its name stays in the data.
func TestDataThatLooksLikeAnEnvelopeArrivesAsItWasPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, replayserver.NewMemory(replayserver.Rule{Pattern: "/**"}))
		published := []string{
			`{"replay.data":5}`, `{"replay.data":null}`, `{"replay\u002edata":5}`,
			`{"event":{"replayId":7},"replay.data":"of another server"}`, `{"a":1,"replay.data":5}`,
		}
		for _, text := range published {
			require.NoError(t, srv.Publish(t.Context(), "/a", json.RawMessage(text)))
		}
		c := dial(t, srv, replay.Config{First: replay.All})
		sub, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		for m := range sub.Messages(t.Context()) {
			assert.JSONEq(t, published[0], string(m.Data))
			if published = published[1:]; len(published) == 0 {
				break
			}
		}
		c.Close()
		srv.Close()
	})
}

func TestIDOf(t *testing.T) {
	for data, want := range map[string]replay.ID{
		`{"event":{"replayId":7}}`:                         7,
		`{"event":{"replayId":"7"},"x":1}`:                 7,
		`{"event":{"replayId":7},"Event":"created"}`:       7,
		`{"event":{"replayId":7,"ReplayID":8},"EVENT":{}}`: 7,
		`{"Event":{"replayId":7}}`:                         0,
		`{"event":{"ReplayId":7}}`:                         0,
		`{"event":7}`:                                      0,
		`[7]`:                                              0,
		``:                                                 0,
	} {
		got, ok := replay.IDOf([]byte(data))
		assert.Equal(t, want, got, data)
		assert.Equal(t, want != 0, ok, data)
	}
}

// What the server no longer has was published after the last message that came.
func TestTheGapOfAnExpiredPositionBeginsWithTheLastMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, replayserver.NewMemory(replayserver.Rule{Pattern: "/a", Messages: 2}))
		var down atomic.Bool
		var stream atomic.Pointer[transport.Conn]
		c, err := client.New("http://test/", client.WithExtension(replay.Client(replay.Config{})),
			client.WithTransports(memory.NewDialer(func(conn transport.Conn) {
				if down.Load() {
					conn.Close(transport.GoingAway)
					return
				}
				stream.Store(&conn)
				srv.ServeConn(conn)
			})))
		require.NoError(t, err)
		var gaps []client.Gap
		_, err = c.SubscribeFunc(t.Context(), "/a", func(context.Context, *bayeux.Message) error { return nil },
			client.WithOnGap(func(g client.Gap) {
				if g.Reason == transport.Expired { // not the break's own
					gaps = append(gaps, g)
				}
			}))
		require.NoError(t, err)
		require.NoError(t, srv.Publish(t.Context(), "/a", 0))
		synctest.Wait()
		last := time.Now()
		time.Sleep(time.Second)
		down.Store(true)
		(*stream.Load()).Close(transport.GoingAway)
		synctest.Wait()
		expireAll(srv)
		time.Sleep(time.Second)
		for i := range 5 {
			require.NoError(t, srv.Publish(t.Context(), "/a", i))
		}
		down.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, gaps, 1)
		assert.Equal(t, last, gaps[0].From)
		assert.True(t, gaps[0].To.After(last.Add(time.Second)))
		c.Close()
		srv.Close()
	})
}

// A failing Store knows no position.
type failing struct{ replay.Memory }

func (*failing) Load(context.Context, string) (replay.ID, bool, error) { return 0, false, errCannot }

var errCannot = errors.New("cannot")

// Failed may do what it likes with the client, as long as it does not wait.
func TestFailedMayUnsubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, replayserver.NewMemory(replayserver.Rule{Pattern: "/**"}))
		var failed []string
		var sub *client.Subscription
		c := dial(t, srv, replay.Config{Store: &failing{}, Failed: func(ch string, err error) {
			assert.ErrorIs(t, err, errCannot)
			failed = append(failed, ch)
			if sub != nil {
				gone, cancel := context.WithCancel(t.Context())
				cancel()
				assert.ErrorIs(t, sub.Unsubscribe(gone), context.Canceled)
			}
		}})
		var err error
		sub, err = c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		_, err = c.Subscribe(t.Context(), "/b")
		require.NoError(t, err)
		<-sub.Done()
		synctest.Wait()
		assert.Equal(t, []string{"/a", "/b"}, failed)
		c.Close()
		srv.Close()
	})
}

// A position that cannot be saved is told and loses nothing: the message is
// handled, those after it come, and only a new run repeats it.
func TestAPositionThatCannotBeSavedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, replayserver.NewMemory(replayserver.Rule{Pattern: "/**"}))
		positions := &full{}
		var failed []string
		run := func() (got []string) {
			c := dial(t, srv, replay.Config{Store: positions, First: replay.All, Failed: func(ch string, err error) {
				assert.ErrorIs(t, err, errCannot)
				failed = append(failed, ch)
			}})
			_, err := c.SubscribeFunc(t.Context(), "/a", func(_ context.Context, m *bayeux.Message) error {
				got = append(got, string(m.Data))
				return nil
			})
			require.NoError(t, err)
			synctest.Wait()
			c.Close()
			<-c.Done()
			return got
		}
		for i := range 3 {
			require.NoError(t, srv.Publish(t.Context(), "/a", i))
		}
		assert.Equal(t, []string{"0", "1", "2"}, run())
		assert.Equal(t, []string{"/a"}, failed, "that of 2")
		positions.room = true
		assert.Equal(t, []string{"2"}, run())
		assert.Len(t, failed, 1)
		srv.Close()
	})
}

// A full store saves two positions, until there is room.
type full struct {
	replay.Memory
	saved int
	room  bool
}

func (s *full) Save(ctx context.Context, ch string, id replay.ID) error {
	if s.saved++; s.saved > 2 && !s.room {
		return errCannot
	}
	return s.Memory.Save(ctx, ch, id)
}

// A program that asks for a position of its own gets what comes after that,
// whatever is stored, and nothing old of channels that it gives none for. What
// comes again because the session was lost is not handed over again.
func TestAPositionOfTheProgramsOwnIsTheOneThatCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, replayserver.NewMemory(replayserver.Rule{Pattern: "/**"}))
		require.NoError(t, srv.Publish(t.Context(), "/b", 100))
		for i := range 5 {
			require.NoError(t, srv.Publish(t.Context(), "/a", i))
		}
		positions := new(replay.Memory)
		var ids []replay.ID
		run := func(opts ...client.SubOption) (c *client.Client, got *heard) {
			c, got = dial(t, srv, replay.Config{Store: positions, First: replay.All}), new(heard)
			_, err := c.SubscribeFunc(t.Context(), "/a", func(ctx context.Context, m *bayeux.Message) error {
				var id replay.ID
				_, err := m.Ext.Decode("replay", &id)
				ids = append(ids, id)
				return errors.Join(err, got.handle(ctx, m))
			}, opts...)
			require.NoError(t, err)
			synctest.Wait()
			return c, got
		}
		c, got := run()
		require.Equal(t, upTo(0, 5), got.so())
		c.Close()
		<-c.Done()
		var own bayeux.Ext
		require.NoError(t, own.Set("replay", map[string]replay.ID{"/a": ids[1]}))
		c, got = run(client.WithSubscribeExt(own), client.WithChannels("/b"))
		assert.Equal(t, upTo(2, 5), got.so())
		require.NoError(t, srv.Publish(t.Context(), "/b", 5))
		synctest.Wait()
		expireAll(srv)
		require.NoError(t, srv.Publish(t.Context(), "/a", 6))
		time.Sleep(time.Minute)
		assert.Equal(t, []int{2, 3, 4, 5, 6}, got.so())
		c.Close()
		srv.Close()
	})
}

// Positions of two clients in one would be mixed.
func TestOneExtensionForTwoClientsPanics(t *testing.T) {
	e := replay.Client(replay.Config{})
	c, err := client.New("http://test/", client.WithTransports(memory.NewDialer(func(c transport.Conn) { c.Close(transport.GoingAway) })))
	require.NoError(t, err)
	e.Opened(c)
	assert.Panics(t, func() { e.Opened(c) })
	c.Close()
}

// The exchange of docs/protocol.md §17 as its server sends it: ids with a
// filtered subscription, a rotation of cookies that loses the session, an id in
// a string.
func TestPositionsAreKeptWithoutTheFilter(t *testing.T) {
	positions := new(replay.Memory)
	e := replay.Client(replay.Config{Store: positions})
	hs := &bayeux.Message{Channel: bayeux.MetaHandshake}
	require.NoError(t, e.Outgoing(t.Context(), hs))
	assert.Equal(t, "true", string(hs.Ext["replay"]))
	require.NoError(t, e.Incoming(t.Context(), &bayeux.Message{
		Channel: bayeux.MetaHandshake, Outcome: bayeux.Succeeded,
		Ext: bayeux.Ext{"replay": []byte("true"), "payload.format": []byte("true")},
	}))
	subscribe := func() string {
		m, err := bayeux.NewSubscribe("x", "/topic/T?Field=Value", "/event/E")
		require.NoError(t, err)
		m.ID = "1"
		require.NoError(t, e.Outgoing(t.Context(), m))
		return string(m.Ext["replay"])
	}
	assert.Equal(t, `{"/event/E":-1,"/topic/T":-1}`, subscribe())
	m := &bayeux.Message{Channel: "/topic/T", Data: []byte(`{"event":{"replayId":"55","type":"created"},"sobject":{}}`)}
	require.NoError(t, e.Incoming(t.Context(), m))
	assert.Equal(t, `{"/event/E":-1,"/topic/T":55}`, subscribe())
	_, found, _ := positions.Load(t.Context(), "/topic/T")
	assert.False(t, found, "not handled yet")
	e.Done("/topic/T", m)
	id, _, _ := positions.Load(t.Context(), "/topic/T")
	assert.Equal(t, replay.ID(55), id)
}

// A position of the program's own is where its first session begins. A server that
// does not mark the past would send all of it again in each that follows.
func TestAPositionOfTheProgramsOwnIsAskedForOnce(t *testing.T) {
	e := replay.Client(replay.Config{})
	handshake := func() {
		require.NoError(t, e.Incoming(t.Context(), &bayeux.Message{
			Channel: bayeux.MetaHandshake, Outcome: bayeux.Succeeded, Ext: bayeux.Ext{"replay": []byte("true")},
		}))
	}
	id := 0
	subscribe := func(channels ...string) string {
		m, err := bayeux.NewSubscribe("x", channels...)
		require.NoError(t, err)
		id++
		m.ID = strconv.Itoa(id)
		require.NoError(t, m.Ext.Set("replay", map[string]replay.ID{"/event/E": 5, "/event/F": 6}))
		require.NoError(t, e.Outgoing(t.Context(), m))
		return string(m.Ext["replay"])
	}
	handshake()
	assert.Equal(t, `{"/event/E":5,"/event/F":6}`, subscribe("/event/E"))
	require.NoError(t, e.Incoming(t.Context(), &bayeux.Message{Channel: "/event/E", Data: []byte(`{"event":{"replayId":55}}`)}))
	assert.Equal(t, `{"/event/E":5,"/event/F":6}`, subscribe("/event/E"), "another subscription of this session")
	handshake()
	assert.Equal(t, `{"/event/E":55,"/event/F":6}`, subscribe("/event/E"))
	handshake()
	assert.Equal(t, `{"/event/E":55,"/event/F":6}`, subscribe("/event/E", "/event/F"), "nothing came on the other")
}

func TestANullInThePlaceOfPositionsIsNone(t *testing.T) {
	e := replay.Client(replay.Config{First: replay.All})
	require.NoError(t, e.Incoming(t.Context(), &bayeux.Message{
		Channel: bayeux.MetaHandshake, Outcome: bayeux.Succeeded, Ext: bayeux.Ext{"replay": []byte("true")},
	}))
	m, err := bayeux.NewSubscribe("x", "/a")
	require.NoError(t, err)
	m.Ext = bayeux.Ext{"replay": []byte("null")}
	require.NoError(t, e.Outgoing(t.Context(), m))
	assert.Equal(t, `{"/a":-2}`, string(m.Ext["replay"]))
}

func TestAServerWithoutReplayIsAskedForNothing(t *testing.T) {
	e := replay.Client(replay.Config{})
	require.NoError(t, e.Incoming(t.Context(), &bayeux.Message{Channel: bayeux.MetaHandshake, Outcome: bayeux.Succeeded}))
	m, err := bayeux.NewSubscribe("x", "/a")
	require.NoError(t, err)
	require.NoError(t, e.Outgoing(t.Context(), m))
	assert.Nil(t, m.Ext)
}

func Example() {
	h, _ := replayserver.New(replayserver.NewMemory(replayserver.Rule{Pattern: "/orders", Messages: 100}))
	srv, _ := server.New(h)
	defer srv.Close()
	ctx := context.Background()
	srv.Publish(ctx, "/orders", "made before anybody listened")

	c, _ := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)),
		client.WithExtension(replay.Client(replay.Config{First: replay.All})))
	defer c.Close()
	sub, _ := c.Subscribe(ctx, "/orders")
	for m := range sub.Messages(ctx) {
		fmt.Println(string(m.Data))
		break
	}
	// Output: "made before anybody listened"
}
