package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

// A Session is one client, from its handshake until it disconnects, is kicked
// or has been away for longer than its grace. It is not a connection: it
// outlives sockets, and moves between them and from polling to a WebSocket.
// All methods may be called from any goroutine, also after the session has ended;
// they then do nothing, but Subscribe, which fails.
type Session struct {
	// All that a delivery touches comes first and, with the front of the outbox,
	// fills two cache lines: with ten thousand sessions these misses are what a
	// delivery costs (docs/performance.md).
	srv       *Server
	mu        lock.Mutex[lock.Session] // guards what follows, to out, and from held on
	phase     phase
	urgent    bool  // what waits is not only lazy
	answering bool  // somebody is about to answer the held connect
	brought   bool  // the payload that has the turn has brought it messages of its own
	batching  int32 // open calls of Batch
	stream    *link // where events leave; nil: on replies
	sender    *link // its events are on their way there; nobody else may take any
	out       Outbox

	id   string
	peer *transport.Peer
	attr attributes

	deadline atomic.Int64 // when it expires, by package clock; 0: the clock stands still
	running  atomic.Int32 // payloads being processed
	lazyBy   uint32       // when lazy makes what waits urgent, by package clock in milliseconds; 0: it does not. Under mu

	// When processing of the current payload, and of a lone connect, began, by
	// package clock; 0: none.
	turnAt, connectAt atomic.Int64

	// turn is held while a payload of this session is processed, user code
	// included, so that two polls at once keep their order. Connects do not
	// take it.
	turn lock.Turn[lock.Processing]

	noEcho atomic.Bool
	newest uint32 // link.carries of the newest link that was its stream, or brought a connect; 0: none. Under mu
	own    atomic.Pointer[[]Extension]

	held         held
	ids          numbers
	timer        *time.Timer // of the held connect
	lazy         *time.Timer // of lazy messages
	due          []byte      // the reply to a stream's connect waits for the writer
	dueAt        uint64      // it leaves after this many events
	answerer     *link       // the answer to the newest connect is on its way there; nil: none is
	parting      *lastNotice // what the client has yet to be told of the end, or is about to be; nil: nothing
	subs         map[string]*subscription
	via          string      // the connection type of what carried its last message, but for more on one stream
	advised      string      // the connection type it was last given advice for
	advisedPause bayeux.Span // and the interval of that advice
	timing       Timing
	pause        bayeux.Span // the interval that its last connect asked for
	browser      string      // of the handshake
	user         string

	flown  chan struct{} // closed when the sender's events have left, for who waits
	laneAt time.Duration // when the last answer on the lane has left, by package clock
	lane   lane

	why      transport.Reason // of its end
	bound    bool             // its client has presented the cookie: only with it from now on
	guarding bool             // a timer will wake it once its lane is free
	personal bool             // an extension of its own wants to see each event

	ctx    context.Context // made when first asked for
	cancel context.CancelFunc
	expiry *expiry
}

type phase int8

const (
	handshaking phase = iota // not yet reachable
	handshaken               // had no connect
	connected                // had a connect
	gone
)

func newSession(srv *Server, l *link) *Session {
	s := &Session{srv: srv, peer: l.peer, via: l.peer.Type, browser: l.peer.Browser}
	s.bound = s.browser != "" && !l.peer.Fresh
	s.id = srv.node + srv.newID()
	s.out.session = s
	return s
}

// ID returns the clientId. It is a secret between client and server: who knows
// it, and the cookie, is the session. Log the Session itself instead.
func (s *Session) ID() string { return s.id }

// LogValue shows the last eight characters of the id, enough to find it again:
// ids may begin alike ([WithNode], [TimeID]). Of no session, nil, it is "none".
func (s *Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// String is like LogValue.
func (s *Session) String() string {
	if s == nil {
		return "none"
	}
	return "…" + s.id[len(s.id)-min(8, len(s.id)/2):]
}

// Format writes what String returns, for every verb and flag.
func (s *Session) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// Peer returns who shook hands: address, TLS, cookie, and the headers kept by
// [WithHeaders]. It is read-only and never nil.
func (s *Session) Peer() *transport.Peer { return s.peer }

func (s *Session) attributes() *attributes { return &s.attr }

// Context is done when the session ends.
func (s *Session) Context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.context()
}

// context is Context for a caller that holds mu.
func (s *Session) context() context.Context {
	if s.ctx == nil {
		s.ctx, s.cancel = context.WithCancel(context.Background())
		if s.phase == gone {
			s.cancel()
		}
	}
	return s.ctx
}

// Transport returns the connection type in use: that of the stream that
// carries the session now, or of what carried its last message. [PeerOf] has
// that of the message being handled.
func (s *Session) Transport() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream != nil {
		return s.stream.peer.Type
	}
	return s.via
}

// Outbox returns the queue of messages that wait for the session.
func (s *Session) Outbox() *Outbox { return &s.out }

// Send delivers data to this session alone, on ch, subscribed or not. It waits
// for nobody. It fails if ch is not a broadcast or service channel or data
// cannot be encoded, and does nothing if the session has ended.
//
// It is no publish: no policy, listener, filter, extension, history or
// Hooks.Published sees it, and the [ChannelOptions] of ch do not hold. An outbox that is
// full ends the session.
func (s *Session) Send(ch string, data any) error {
	text, err := s.srv.encodeEvent(ch, data)
	if err != nil {
		return err
	}
	s.deliver(s.srv.eventOf(text))
	return nil
}

// deliver queues one event for this session alone.
func (s *Session) deliver(e *event) {
	w := wakes{cause: s}
	s.pushAlone(e, &ChannelOptions{}, &w)
	w.flush(s.srv)
}

// Batch runs f, and wakes nobody for what is sent to the session meanwhile, by f or
// by others, until f has returned: so it leaves together, unless a reply to the
// client takes some of it along before. Batches may nest.
func (s *Session) Batch(f func()) {
	s.mu.Lock()
	s.batching++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.batching--
		s.mu.Unlock()
		s.wake()
	}()
	f()
}

// Subscriptions returns the channels and patterns it is subscribed to, sorted.
func (s *Session) Subscriptions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.subs))
}

// Disconnect kicks the session, which ends at once: its client is told that it
// is disconnected and should not come back (docs/protocol.md §3.5). What was
// queued before still leaves. A client that is between two polls, or without a
// connection, gets all that with its next connect, if that comes within the
// grace ([Timing]) and no more than 10,000 such clients are waited for. Disconnect
// waits for nobody.
func (s *Session) Disconnect() { s.Kick("") }

// Kick is [Session.Disconnect] with a reason, which the client finds as
// ext.reason of the disconnect, and [SessionRemoved] as Text.
func (s *Session) Kick(reason string) { s.srv.endWith(s, &ending{why: transport.Kicked, text: reason}) }

// SetEcho decides whether the session gets the messages that it publishes
// itself. The default is true; the channel ([ChannelOptions]) and the server
// ([WithoutEcho]) must agree.
func (s *Session) SetEcho(on bool) { s.noEcho.Store(!on) }

// SetTiming changes the session's own timing; fields left zero are the
// server's. The client is told with the reply to its next connect: one that is
// held already says what was true when it came.
func (s *Session) SetTiming(t Timing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timing = t
	s.advised = ""
}

// encodeEvent encodes a message of the server's own.
func (srv *Server) encodeEvent(ch string, data any) ([]byte, error) {
	c, err := parseTarget(ch)
	if err != nil {
		return nil, err
	}
	raw, err := codec.EncodeWith(srv.json, data)
	if err != nil {
		return nil, err
	}
	return codec.AppendEvent(nil, string(c), raw), nil
}
