package server_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/server"
)

// local is a server and one client of it, in one process, for the examples.
func local(opts ...server.Option) (*server.Server, *client.Client, func()) {
	srv, err := cometd.NewServer(opts...)
	if err != nil {
		log.Fatal(err)
	}
	c, err := cometd.Local(srv)
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Wait(context.Background()); err != nil {
		log.Fatal(err)
	}
	return srv, c, func() {
		c.Close()
		srv.Close()
	}
}

// first prints the data of the first n messages.
func first(ctx context.Context, sub *client.Subscription, n int) {
	for m := range sub.Messages(ctx) {
		fmt.Println(m.Channel, string(m.Data))
		if n--; n == 0 {
			return
		}
	}
}

func Example() {
	ctx := context.Background()
	srv, c, end := local()
	defer end()
	sub, _ := c.Subscribe(ctx, "/quotes/*")
	srv.Publish(ctx, "/quotes/ACME", map[string]int{"price": 7})
	first(ctx, sub, 1)
	// Output: /quotes/ACME {"price":7}
}

// A policy decides with a reason that the client is told. This one keeps
// strangers from the private channels, and from what is wider than they are.
func ExamplePolicy() {
	ctx := context.Background()
	_, c, end := local(server.WithPolicy(server.Policy{
		Subscribe: func(_ context.Context, s *server.Session, ch string, _ *bayeux.Message) error {
			private := ch == "/**" || bayeux.Channel("/private/**").Covers(ch)
			if private && s.User() == "" {
				return server.Deny("sign_in_first")
			}
			return nil
		},
	}))
	defer end()
	for _, ch := range []string{"/public/news", "/private/*"} {
		_, err := c.Subscribe(ctx, ch)
		fmt.Println(err, errors.Is(err, bayeux.ErrDenied))
	}
	// Output:
	// <nil> false
	// bayeux: /meta/subscribe: 403 subscribe_denied (sign_in_first) true
}

// Everybody reads the news, and editors write them. Whoever wants the drafts,
// one by one or all, must be an editor too.
func ExampleServer_Authorize() {
	ctx := context.Background()
	srv, c, end := local()
	defer end()
	editorsOnly := func(_ context.Context, s *server.Session, _ server.Op, _ string) (server.Decision, string) {
		if s.User() == "editor" {
			return server.Grant, ""
		}
		return server.Refuse, "editors_only"
	}
	srv.Authorize("/news/*", func(ctx context.Context, s *server.Session, op server.Op, ch string) (server.Decision, string) {
		if op == server.OpPublish {
			return editorsOnly(ctx, s, op, ch)
		}
		return server.Grant, ""
	})
	srv.Authorize("/drafts/**", editorsOnly)
	for _, ch := range []string{"/news/sport", "/drafts/*"} {
		_, err := c.Subscribe(ctx, ch)
		fmt.Println(err)
	}
	fmt.Println(c.Publish(ctx, "/news/sport", "goal"))
	// Output:
	// <nil>
	// bayeux: /meta/subscribe: 403 create_denied (editors_only)
	// bayeux: /news/sport: 403 publish_denied (editors_only)
}

// A service hears what clients send on its channel, and answers if it wants.
func ExampleServer_HandleService() {
	ctx := context.Background()
	srv, c, end := local()
	defer end()
	srv.HandleService("/service/join", func(_ context.Context, s *server.Session, m *bayeux.Message) (any, error) {
		var room string
		if err := m.Decode(&room); err != nil {
			return nil, bayeux.Errorf(400, "room_missing")
		}
		return server.NoAnswer, s.Send("/welcome", "hello in "+room)
	})
	welcome, _ := c.Listen("/welcome")
	c.Publish(ctx, "/service/join", "the lobby")
	first(ctx, welcome, 1)
	// Output: /welcome "hello in the lobby"
}

// A remote call, with the types of the application at both ends.
func ExampleTyped() {
	ctx := context.Background()
	srv, c, end := local()
	defer end()
	type add struct{ A, B int }
	srv.HandleService("/service/add", server.Typed(func(_ context.Context, _ *server.Session, r add) (int, error) {
		if r.B < 0 {
			return 0, bayeux.Errorf(400, "b_negative")
		}
		return r.A + r.B, nil
	}))
	fmt.Println(client.Call[int](ctx, c, "/service/add", add{1, 2}))
	_, err := client.Call[int](ctx, c, "/service/add", add{1, -2})
	e, _ := errors.AsType[*bayeux.Error](err)
	fmt.Println(e.Code, e.Message)
	// Output:
	// 3 <nil>
	// 400 b_negative
}

// A loop over the events sees everybody come and go, and what the application
// itself emits, in one order.
func ExampleServer_Events() {
	ctx := context.Background()
	srv, err := cometd.NewServer()
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	events := srv.Events(ctx) // from here on
	c, err := cometd.Local(srv)
	if err != nil {
		log.Fatal(err)
	}
	c.Subscribe(ctx, "/a", client.WithChannels("/b"))
	srv.Emit("our own")
	c.Close()
	for ev := range events {
		switch ev := ev.(type) {
		case server.SessionAdded:
			fmt.Println("added, over", server.PeerOf(ev.Context).Type)
		case server.Subscribed:
			fmt.Println("subscribed", ev.Channels)
		case server.CustomData:
			fmt.Println("emitted", ev.Value)
		case server.Unsubscribed:
			fmt.Println("unsubscribed", ev.Channels)
		case server.SessionRemoved:
			fmt.Println("removed:", ev.Reason)
			return
		}
	}
	// Output:
	// added, over in-process
	// subscribed [/a /b]
	// emitted our own
	// unsubscribed [/a /b]
	// removed: normal
}

// Filters change what clients publish before anybody sees it.
func ExampleServer_Filter() {
	ctx := context.Background()
	srv, c, end := local()
	defer end()
	srv.Filter("/chat/**", server.NoScripts())
	sub, _ := c.Subscribe(ctx, "/chat/room")
	c.Publish(ctx, "/chat/room", "hi <script>there</script>")
	first(ctx, sub, 1)
	// Output: /chat/room "hi there"
}

// An extension sees every message on its channels; this one says in ext which
// node it came through.
func ExampleExtension() {
	ctx := context.Background()
	stamp := server.Extension{
		Name:     "stamp",
		Channels: []string{"/chat/**"}, // other channels pay nothing
		Outgoing: func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
			if m.Data == nil {
				return nil // the reply to the publisher
			}
			return m.Ext.Set("node", "eu-1")
		},
	}
	srv, c, end := local(server.WithExtension(stamp))
	defer end()
	sub, _ := c.Subscribe(ctx, "/chat/room")
	srv.Publish(ctx, "/chat/room", "hi")
	for m := range sub.Messages(ctx) {
		fmt.Println(string(m.Data), string(m.Ext["node"]))
		break
	}
	// Output: "hi" "eu-1"
}

// An extension may answer a message itself, which then goes no further.
func ExampleAnswer() {
	ctx := context.Background()
	ping := server.Extension{
		Channels: []string{"/service/ping"},
		Incoming: func(context.Context, *server.Session, *bayeux.Message) error {
			return server.Answer(&bayeux.Message{Outcome: bayeux.Failed, Error: "503::later"})
		},
	}
	_, c, end := local(server.WithExtension(ping))
	defer end()
	fmt.Println(c.Publish(ctx, "/service/ping", 1))
	// Output: bayeux: /service/ping: 503 later
}

// Messages on a lazy channel wait for company, here for a second at most.
func ExampleChannelOptions_lazy() {
	ctx := context.Background()
	srv, c, end := local(server.WithChannel("/stats", server.ChannelOptions{Lazy: time.Second}))
	defer end()
	sub, _ := c.Subscribe(ctx, "/stats", client.WithChannels("/alarm"))
	srv.Publish(ctx, "/stats", 1)
	srv.Publish(ctx, "/stats", 2)
	srv.Publish(ctx, "/alarm", "now") // takes them along
	first(ctx, sub, 3)
	// Output:
	// /stats 1
	// /stats 2
	// /alarm "now"
}

// A slow reader gets the newest price, a new one gets the current price.
func ExampleChannelOptions_latest() {
	ctx := context.Background()
	srv, c, end := local(server.WithChannel("/prices/*", server.ChannelOptions{Overflow: server.KeepLatest, SendLast: true}))
	defer end()
	srv.Publish(ctx, "/prices/ACME", 6)
	srv.Publish(ctx, "/prices/ACME", 7)
	sub, _ := c.Subscribe(ctx, "/prices/*")
	first(ctx, sub, 1)
	// Output: /prices/ACME 7
}

// What is sent to a session goes to it alone, subscribed or not.
func ExampleSession_Send() {
	ctx := context.Background()
	srv, c, end := local()
	defer end()
	notes, _ := c.Listen("/notes")
	for s := range srv.Sessions() {
		fmt.Println(s.Transport())
		s.Batch(func() { // both in one frame
			s.Send("/notes", "one")
			s.Send("/notes", "two")
		})
	}
	first(ctx, notes, 2)
	// Output:
	// in-process
	// /notes "one"
	// /notes "two"
}

// A user's message goes to all sessions of that user, and to nobody else.
func ExampleServer_SendUser() {
	ctx := context.Background()
	srv, c, end := local(server.WithPolicy(server.Policy{
		Handshake: func(_ context.Context, s *server.Session, m *bayeux.Message) error {
			s.SetUser("ann") // from a token that was checked
			return nil
		},
	}))
	defer end()
	notes, _ := c.Listen("/notes")
	srv.HandleService("/service/note", func(_ context.Context, s *server.Session, m *bayeux.Message) (any, error) {
		return server.NoAnswer, srv.SendUser(s.User(), "/notes", m.Data)
	})
	c.Publish(ctx, "/service/note", "to all my screens")
	first(ctx, notes, 1)
	// Output: /notes "to all my screens"
}

// A channel gets what belongs to it when it comes into being, before anybody
// uses it.
func ExampleServer_OnCreate() {
	ctx := context.Background()
	topic := server.NewAttr[string]("topic")
	srv, c, end := local()
	defer end()
	srv.OnCreate("/room/*", func(ch *server.Channel) { topic.Set(ch, "welcome to "+ch.Name()) })
	c.Subscribe(ctx, "/room/7")
	fmt.Println(topic.Get(srv.Channel("/room/7")))
	// Output: welcome to /room/7 true
}

// Templates name the parts of a channel.
func ExampleServer_Handle() {
	ctx := context.Background()
	srv, _, end := local()
	defer end()
	srv.Handle("/news/{category}/{id}", func(ctx context.Context, s *server.Session, m *bayeux.Message) error {
		fmt.Println(server.Param(ctx, "category"), server.Param(ctx, "id"), s == nil)
		return nil
	})
	srv.Publish(ctx, "/news/sport/7", "goal")
	// Output: sport 7 true
}

// The filter sees what is about to leave, and here keeps the last of each
// batch.
func ExampleOutbox_Filter() {
	ctx := context.Background()
	srv, c, end := local()
	defer end()
	sub, _ := c.Subscribe(ctx, "/position")
	for s := range srv.Subscribers("/position") {
		s.Outbox().Filter(func(ms []*bayeux.Message) []*bayeux.Message { return ms[len(ms)-1:] })
		s.Batch(func() {
			for i := range 10 {
				srv.Publish(ctx, "/position", i)
			}
		})
	}
	first(ctx, sub, 1)
	// Output: /position 9
}

// The reason is what the application sees, and the client in ext.
func ExampleSession_Kick() {
	srv, _, end := local()
	defer end()
	events := srv.Events(context.Background())
	for s := range srv.Sessions() {
		s.Kick("maintenance")
	}
	for ev := range events {
		if ev, ok := ev.(server.SessionRemoved); ok {
			fmt.Println(ev.Reason, ev.Text)
			break
		}
	}
	// Output: kicked maintenance
}
