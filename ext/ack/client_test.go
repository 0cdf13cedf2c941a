package ack_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// A script is a reference server that does to each connect in turn as it says:
// an event for each letter, in a frame of its own, then the reply with the
// number, or a cut.
type script struct {
	answers []answer
	acked   []string // what the connects acknowledged

	subscribed bool
	early      func() // answers the connect that came before
	replyFirst bool   // and the events behind it in one payload
}

type answer struct {
	events string
	number int // 0: a cut; negative: of another type
}

func (s *script) serve(conn transport.Conn) {
	for {
		r, err := conn.Receive()
		if err != nil {
			return
		}
		b, err := codec.Read(r, codec.Limits{})
		if err != nil {
			return
		}
		for _, m := range b.Detach() {
			s.answer(conn, m)
		}
		b.Release()
	}
}

func (s *script) answer(conn transport.Conn, m *bayeux.Message) {
	reply := `{"channel":%q,"id":%q,"successful":true,"advice":{"timeout":3600000,"interval":0,"reconnect":"retry"}`
	reply = fmt.Sprintf(reply, m.Channel, m.ID)
	switch m.Channel {
	case bayeux.MetaHandshake:
		send(conn, transport.Handshake, reply+`,"version":"1.0","clientId":"c","supportedConnectionTypes":["websocket"],"ext":{"ack":true}}`)
	case bayeux.MetaSubscribe:
		send(conn, transport.Other, reply+`,"subscription":"/a","ext":{}}`)
		if s.early != nil {
			s.early()
		}
		s.subscribed, s.early = true, nil
	case bayeux.MetaConnect:
		if !s.subscribed { // nobody hears the events yet
			s.early = func() { s.connected(conn, m, reply) }
			return
		}
		s.connected(conn, m, reply)
	}
}

func (s *script) connected(conn transport.Conn, m *bayeux.Message, reply string) {
	s.acked = append(s.acked, string(m.Ext[ack.Name]))
	if len(s.answers) == 0 {
		return // held
	}
	now := s.answers[0]
	s.answers = s.answers[1:]
	events := make([]string, 0, len(now.events))
	for _, e := range now.events {
		events = append(events, fmt.Sprintf(`{"channel":"/a","data":"%c"}`, e))
	}
	reply = fmt.Sprintf(`%s,"ext":{"ack":%d}}`, reply, now.number)
	if now.number < 0 {
		reply = strings.Replace(reply, strconv.Itoa(now.number), `"x"`, 1)
	}
	if s.replyFirst {
		send(conn, transport.Connect, append([]string{reply}, events...)...)
		return
	}
	for _, e := range events {
		send(conn, transport.Other, e)
	}
	if now.number == 0 {
		conn.Close(transport.GoingAway)
		return
	}
	send(conn, transport.Connect, reply)
}

func send(conn transport.Conn, kind transport.Kind, messages ...string) {
	p := &transport.Payload{Kind: kind}
	for _, m := range messages {
		p.Messages = append(p.Messages, []byte(m))
	}
	conn.Send(p)
}

// play has a client hear what the script says, without a gap, and acknowledge it.
func (s *script) play(t *testing.T, heard, acked string) {
	synctest.Test(t, func(t *testing.T) {
		c, err := client.New("http://test/", client.WithTransports(memory.NewDialer(s.serve)), client.WithExtension(ack.Client()))
		require.NoError(t, err)
		defer c.Close()
		var got strings.Builder
		_, err = c.SubscribeFunc(t.Context(), "/a", func(_ context.Context, m *bayeux.Message) error {
			got.Write(m.Data[1 : len(m.Data)-1])
			return nil
		}, client.WithOnGap(func(g client.Gap) { t.Errorf("gap: %+v", g) }))
		require.NoError(t, err)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, heard, got.String())
		assert.Equal(t, acked, strings.Join(s.acked, " "))
	})
}

// A reference server sends events in frames before the connect reply with their
// number. A cut between the two makes it send them again, and the client drops
// what it has had, and nothing else.
func TestACutBetweenEventsAndTheirNumberRepeatsNothing(t *testing.T) {
	for name, test := range map[string]struct {
		answers []answer
		want    string
		acked   string
	}{
		"all of them again":           {[]answer{{"", 1}, {"abc", 0}, {"abc", 2}}, "abc", "0 1 1 2"},
		"and new ones":                {[]answer{{"", 1}, {"ab", 0}, {"abcd", 2}, {"e", 3}}, "abcde", "0 1 1 2 3"},
		"cut before anything came":    {[]answer{{"", 1}, {"", 0}, {"ab", 2}}, "ab", "0 1 1 2"},
		"cut again, later":            {[]answer{{"", 1}, {"ab", 0}, {"abc", 0}, {"abcd", 2}}, "abcd", "0 1 1 1 2"},
		"cut again, earlier":          {[]answer{{"", 1}, {"abc", 0}, {"a", 0}, {"abcd", 2}}, "abcd", "0 1 1 1 2"},
		"equal events":                {[]answer{{"", 1}, {"aa", 0}, {"aaa", 2}, {"a", 3}}, "aaaa", "0 1 1 2 3"},
		"none of them again":          {[]answer{{"", 1}, {"ab", 0}, {"cd", 2}}, "abcd", "0 1 1 2"},
		"none of them, and a cut":     {[]answer{{"", 1}, {"ab", 0}, {"cd", 0}, {"cde", 2}}, "abcde", "0 1 1 1 2"},
		"again in two parts":          {[]answer{{"", 1}, {"abc", 0}, {"ab", 2}, {"cd", 3}}, "abcd", "0 1 1 2 3"},
		"equal, and not counted":      {[]answer{{"", 1}, {"a", -1}, {"a", -1}, {"a", 2}, {"a", 3}}, "aaaa", "0 1 1 1 2 3"},
		"equal, after a whole answer": {[]answer{{"ab", 1}, {"ab", 2}}, "abab", "0 1 2"},
	} {
		t.Run(name, func(t *testing.T) {
			(&script{answers: test.answers}).play(t, test.want, test.acked)
		})
	}
}

// A server may put the reply before the events that it counts. They are no second
// try of the ones behind the reply before, however alike.
func TestEventsBehindTheReplyAreOfItsBatch(t *testing.T) {
	s := &script{replyFirst: true, answers: []answer{{"", 1}, {"a", 2}, {"a", 3}, {"aab", 4}, {"", 5}, {"b", 6}}}
	s.play(t, "aaaabb", "0 1 2 3 4 5 6")
}

// What two clients have received in one would be mixed.
func TestOneExtensionForTwoClientsPanics(t *testing.T) {
	e := ack.Client()
	c, err := client.New("http://test/", client.WithTransports(memory.NewDialer(func(c transport.Conn) { c.Close(transport.GoingAway) })))
	require.NoError(t, err)
	e.Opened(c)
	assert.Panics(t, func() { e.Opened(c) })
	c.Close()
}

// An acknowledgement may wait until its session is over. The next one counts from
// the beginning, or not at all.
func TestAnAcknowledgementIsForTheSessionThatGetsIt(t *testing.T) {
	e := ack.Client()
	session := func(a ack.Answer) {
		m := &bayeux.Message{Channel: bayeux.MetaHandshake, Outcome: bayeux.Succeeded}
		require.NoError(t, m.Ext.Set(ack.Name, a.Ext()))
		require.NoError(t, e.Incoming(t.Context(), m))
	}
	tells := func() (string, error) {
		m := &bayeux.Message{Channel: ack.Channel, Data: []byte("5000")}
		err := e.Outgoing(t.Context(), m)
		return string(m.Data), err
	}
	session(ack.Answer{Enabled: true, Numbers: true})
	require.NoError(t, e.Incoming(t.Context(), &bayeux.Message{Channel: "/a", Data: []byte("1")}))
	data, err := tells()
	assert.NoError(t, err)
	assert.Equal(t, "1", data)
	session(ack.Answer{Enabled: true})
	_, err = tells()
	assert.ErrorContains(t, err, "session")
	assert.Contains(t, e.Requests, ack.Channel, "it is asked")
}

// On the channel of acknowledgement, too, what is no number of the server's is an
// event, and so is everything where the server does not acknowledge.
func TestWhatIsNoMarkIsAnEvent(t *testing.T) {
	for name, opts := range map[string][]server.Option{
		"acknowledged": {server.WithExtension(ackserver.New())},
		"not":          nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, err := server.New(opts...)
				require.NoError(t, err)
				c, err := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)), client.WithExtension(ack.Client()))
				require.NoError(t, err)
				require.NoError(t, c.Wait(t.Context()))
				sub, err := c.Listen(ack.Channel)
				require.NoError(t, err)
				want := []any{"text", "more"}
				if opts == nil {
					want = append(want, 7)
				}
				for _, v := range want {
					require.NoError(t, srv.Session(c.ID()).Send(ack.Channel, v))
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				for m := range sub.Messages(ctx) {
					var v any
					require.NoError(t, m.Decode(&v))
					assert.EqualValues(t, want[0], v)
					if want = want[1:]; len(want) == 0 {
						break
					}
				}
				assert.Empty(t, want)
				c.Close()
				srv.Close()
			})
		})
	}
}

// A program may take its time with the outcome of a publish. What arrives meanwhile
// is acknowledged, or a healthy session would end for what the server holds.
func TestABlockedPublishFuncHoldsUpNoAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := server.New(server.WithLimits(server.Limits{SessionBytes: 20_000}), server.WithExtension(ackserver.New(ackserver.WithWindow(1000))))
		require.NoError(t, err)
		defer srv.Close()
		c, err := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)),
			client.WithLimits(client.Limits{Pending: 4}), client.WithExtension(ack.Client()))
		require.NoError(t, err)
		defer c.Close()
		got := 0
		_, err = c.SubscribeFunc(t.Context(), "/a", func(context.Context, *bayeux.Message) error {
			got++
			return nil
		}, client.WithOnGap(func(g client.Gap) { t.Errorf("gap: %+v", g) }))
		require.NoError(t, err)
		busy := make(chan struct{})
		defer close(busy)
		require.NoError(t, c.PublishFunc("/b", 1, func(error) { <-busy }))
		session := c.ID()
		for range 1000 {
			require.NoError(t, srv.Publish(t.Context(), "/a", strings.Repeat("x", 100)))
			synctest.Wait()
		}
		assert.Equal(t, session, c.ID())
		assert.Equal(t, 1000, got)
	})
}
