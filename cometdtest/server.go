package cometdtest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
	"github.com/gocometd/cometd/wsclient"
	"github.com/gocometd/cometd/wsserver"
)

const patience = 10 * time.Second

// A Server is the real server, with a network that the test controls. Methods that
// wait, the Await ones and Forget, fail the test and so belong to its own goroutine;
// all others may be called from any.
type Server struct {
	*server.Server

	// URL is where clients find it. Behind a NewServer there is no network: use
	// Dial or Dialers.
	URL string

	t       testing.TB
	network network
	web     *httptest.Server // nil: in memory
	taken   *published
	once    sync.Once
}

// NewServer makes a server in memory with the given options. It is closed by
// t.Cleanup.
func NewServer(t testing.TB, opts ...server.Option) *Server {
	s := newServer(t, append([]server.Option{server.WithTransports(listed{bayeux.WebSocket}, listed{bayeux.LongPolling})}, opts...))
	s.URL = "http://memory.test/cometd"
	t.Cleanup(s.Close)
	return s
}

// NewHTTPServer makes a server that listens on a loopback port, with WebSocket
// and long-polling at URL. It is closed by t.Cleanup.
func NewHTTPServer(t testing.TB, opts ...server.Option) *Server {
	s := &Server{}
	ws, lp := &acceptor{wsserver.NewAcceptor(), &s.network}, &acceptor{longpoll.NewAcceptor(), &s.network}
	s.start(t, append([]server.Option{server.WithTransports(ws, lp)}, opts...))
	mux := http.NewServeMux()
	s.Mount(mux, "/cometd")
	s.web = httptest.NewServer(mux)
	s.URL = s.web.URL + "/cometd"
	t.Cleanup(s.Close)
	return s
}

func newServer(t testing.TB, opts []server.Option) *Server {
	s := &Server{}
	s.start(t, opts)
	return s
}

func (s *Server) start(t testing.TB, opts []server.Option) {
	srv, err := server.New(opts...)
	if err != nil {
		t.Fatalf("cometdtest: %v", err)
	}
	s.Server, s.t = srv, t
	s.taken = newPublished()
	srv.Handle("/**", s.taken.listen)
}

// Close ends the server and all connections. Again is harmless.
func (s *Server) Close() {
	s.once.Do(func() {
		s.Server.Close()
		if s.web != nil {
			s.web.Close()
		}
	})
}

// Dial makes a client of this server. It is closed by t.Cleanup; in a bubble
// of testing/synctest close it yourself. Options given here come last.
func (s *Server) Dial(opts ...client.Option) *client.Client {
	std := client.WithTransports(s.Dialers()...)
	c, err := client.New(s.URL, append([]client.Option{std}, opts...)...)
	if err != nil {
		s.t.Fatalf("cometdtest: %v", err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// Dialers are new transports to this server, a stream and then polling, for
// client.WithTransports. Each call stands for another browser.
func (s *Server) Dialers() []transport.Dialer {
	if s.web != nil {
		return []transport.Dialer{wsclient.NewDialer(), longpoll.NewDialer()}
	}
	serve := func(c transport.Conn) { s.network.serve(c, s.ServeConn) }
	return []transport.Dialer{
		guarded{memory.NewDialer(serve), &s.network},
		guarded{memory.NewPollDialer(serve), &s.network},
	}
}

// Cut breaks every connection, as a network does: both ends see an error,
// sessions live on.
func (s *Server) Cut() { s.network.cut() }

// Down cuts every connection and refuses new ones, until Up.
func (s *Server) Down() { s.network.down() }

// Up ends Down.
func (s *Server) Up() { s.network.up() }

// Delay makes every payload of the server take d longer, from now on.
func (s *Server) Delay(d time.Duration) { s.network.delay(d) }

// Fault sees every message that the server sends, from now on, and returns
// what is sent in its place: the message itself, another, or nil for none. It
// gets a message of its own. A nil f ends it. It runs on the server's
// goroutines, one after the other for each connection.
func (s *Server) Fault(f func(m *bayeux.Message) *bayeux.Message) { s.network.fault(f) }

// Forget ends every session without telling its client, which learns of it
// with its next request, and returns when they are gone.
func (s *Server) Forget() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	events := s.Events(ctx)
	left := map[*server.Session]bool{}
	for x := range s.Sessions() {
		left[x] = true
		x.Expire(time.Now(), 0)
	}
	if len(left) == 0 {
		return
	}
	for ev := range events {
		if gone, ok := ev.(server.SessionRemoved); ok {
			delete(left, gone.Session)
		}
		if len(left) == 0 {
			return
		}
	}
	s.t.Helper()
	s.t.Fatalf("cometdtest: %d sessions would not end", len(left))
}

// AwaitSubscriber waits until a session is subscribed to exactly ch and
// returns one that is.
func (s *Server) AwaitSubscriber(ch string) *server.Session {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	events := s.Events(ctx)
	for x := range s.Subscribers(ch) {
		return x
	}
	for range events {
		for x := range s.Subscribers(ch) {
			return x
		}
	}
	s.t.Fatalf("cometdtest: nobody subscribed to %s within %v", ch, patience)
	return nil
}

// AwaitPublished waits for the next message that a client published on exactly
// ch, a service channel included, and returns it. Each message is returned
// once, in order, those from before the call included: the last 10,000 of ch.
func (s *Server) AwaitPublished(ch string) *bayeux.Message {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m := s.taken.next(ctx, ch)
	if m == nil {
		s.t.Fatalf("cometdtest: nothing published on %s within %v", ch, patience)
	}
	return m
}

// mostKept bounds the messages of a channel that no test has asked for.
const mostKept = 10_000

// published keeps what clients published until the test asks for it.
type published struct {
	mu   sync.Mutex
	more *sync.Cond
	byCh map[string][]*bayeux.Message
}

func newPublished() *published {
	p := &published{byCh: map[string][]*bayeux.Message{}}
	p.more = sync.NewCond(&p.mu)
	return p
}

func (p *published) listen(_ context.Context, from *server.Session, m *bayeux.Message) error {
	if from == nil {
		return nil
	}
	p.mu.Lock()
	all := append(p.byCh[m.Channel], m.Clone())
	p.byCh[m.Channel] = all[max(0, len(all)-mostKept):]
	p.mu.Unlock()
	p.more.Broadcast()
	return nil
}

// next is nil when ctx ends first.
func (p *published) next(ctx context.Context, ch string) *bayeux.Message {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.more.Broadcast()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.byCh[ch]) == 0 && ctx.Err() == nil {
		p.more.Wait()
	}
	if len(p.byCh[ch]) == 0 {
		return nil
	}
	m := p.byCh[ch][0]
	p.byCh[ch] = p.byCh[ch][1:]
	return m
}
