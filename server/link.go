package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/internal/clock"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

// A link is the server's side of one Conn: a stream, which carries one session
// at a time, or a single exchange.
type link struct {
	srv  *Server
	conn transport.Conn
	peer *transport.Peer

	starter transport.Starter // nil: the Conn has none
	shard   *shard            // which writes to it then
	round   uint64            // of the shard, in which it last did. Whoever has the token has this too

	session atomic.Pointer[Session] // whose messages it carries; nil: nobody's yet
	making  atomic.Pointer[Session] // of the handshake under way, which may not be listed yet; nil: there is none
	carries atomic.Uint32           // its place among links, in the order in which they got their sessions
	dirty   atomic.Bool             // the flush token: whoever sets it sees to a flush (writer.go)
	unused  atomic.Int64            // since when a stream is of no use, by package clock; 0: it is

	mu      lock.Mutex[lock.Link]
	replies []reply
	waiting int        // bytes of replies, those on their way included; none once ended
	since   uint32     // the sweep after which the first of them came, or one last left
	passed  uint32     // bytes of replies that have left, ever; begins again after four thousand millions
	drained *sync.Cond // replies have left; made when first needed
	ended   bool
	closing bool             // by this side, for why
	why     transport.Reason // the first one
	polled  bool             // events leave with connect replies only; never changed

	words uint32 // of passed: the replies before that leave although the stream is of no use any more. The sweep's
}

// A reply waits for a stream's writer.
type reply struct {
	text []byte
	kind transport.Kind

	session *Session // nil: it waits for no events
	after   uint64   // leaves after this many of them
}

func newLink(s *Server, c transport.Conn) *link {
	l := &link{srv: s, conn: c, peer: c.Peer()}
	if x, ok := c.(transport.Starter); ok && len(s.shards) > 0 {
		l.starter, l.shard = x, s.shards[int(s.nextShard.Add(1))%len(s.shards)]
	}
	l.polled = l.peer.Polled || s.simpleClients && l.peer.Once || s.connectOnly[""] || s.connectOnly[l.peer.Type]
	l.unused.Store(int64(clock.Now()))
	return l
}

// run receives until the Conn ends.
func (l *link) run() {
	s := l.srv
	s.connOpened(l)
	s.links.add(l)
	defer s.links.remove(l)
	if s.isClosed() { // Close may have looked for links already
		l.close(transport.GoingAway)
	}
	err := l.receiveAll()
	why := l.endedBy(err)
	l.end()
	s.connClosed(l, why, err)
}

func (l *link) receiveAll() error {
	for {
		l.awaitRoom()
		r, err := l.conn.Receive()
		if err != nil {
			return err
		}
		if err := l.receiveOne(r); err != nil {
			l.refuse(err)
			return err
		}
	}
}

func (l *link) receiveOne(r io.Reader) error {
	b, err := l.srv.burden.read(r, l.srv.limits.codec())
	if err != nil {
		return err
	}
	defer b.Release()
	if len(b.Views) == 0 && l.peer.Once {
		return errEmpty
	}
	if f := l.srv.hooks.FrameIn; f != nil {
		f(l.peer.Type, len(b.Views), b.Size())
	}
	l.receive(b)
	return nil
}

var errEmpty = errors.New("server: payload without messages")

// refuse closes a Conn that sent what is not a payload, and says why.
func (l *link) refuse(err error) {
	reason, why := transport.BadPayload, badPayload(err)
	if limit := brokenLimit(err); limit != "" {
		reason = transport.TooLarge
		l.srv.limited(limit, l.peer.Addr, l.session.Load())
	} else if why == transport.Stalled && l.peer.Once {
		l.srv.limited(limitBody, l.peer.Addr, nil)
	}
	l.closingFor(why) // which tells more than what the peer is told
	l.closeSaying(reason, refusalText(err))
}

// badPayload is the reason of an end by an error of receiving.
func badPayload(err error) transport.Reason {
	if te, ok := errors.AsType[*transport.Error](err); ok {
		return te.Reason
	}
	if brokenLimit(err) != "" {
		return transport.TooLarge
	}
	return transport.BadPayload
}

// brokenLimit names the limit that a payload has broken, if it is that.
func brokenLimit(err error) string {
	if errors.Is(err, transport.ErrTooLarge) {
		return limitMessageBytes
	}
	bad, ok := errors.AsType[*codec.Error](err)
	if !ok {
		return ""
	}
	switch bad.Limit {
	case codec.LimitBytes:
		return limitMessageBytes
	case codec.LimitMessages:
		return limitBatchMessages
	case codec.LimitDepth:
		return limitDepth
	case codec.LimitDataDepth:
		return limitDataDepth
	}
	return ""
}

func refusalText(err error) string {
	if bad, ok := errors.AsType[*codec.Error](err); ok {
		return bad.Error()
	}
	if errors.Is(err, errEmpty) {
		return errEmpty.Error()
	}
	return ""
}

// close ends the Conn; whatever its receiver is doing, it sees the end.
func (l *link) close(r transport.Reason) { l.closeSaying(r, "") }

// closeSaying is close with other words than the reason's.
func (l *link) closeSaying(r transport.Reason, text string) {
	l.closingFor(r)
	if x, ok := l.conn.(transport.Refuser); ok && text != "" {
		x.Refuse(r, text)
	} else {
		l.conn.Close(r)
	}
	l.mu.Lock()
	l.ended = true
	l.left(l.waiting)
	l.replies = nil
	l.mu.Unlock()
}

// closingFor notes why this side ends the Conn. The first reason is the one.
func (l *link) closingFor(why transport.Reason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closing {
		l.closing, l.why = true, why
	}
}

// endedBy says why the Conn ended of which nothing more was received: because
// this side closed it, or as err has it.
func (l *link) endedBy(err error) transport.Reason {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closing:
		return l.why
	case errors.Is(err, io.EOF), errors.Is(err, transport.ErrClosed):
		return transport.Normal
	}
	return badPayload(err)
}

// unsent ends a Conn to which Send has failed.
func (l *link) unsent(err error) {
	why := transport.ReasonOf(err)
	if why == transport.Stalled {
		l.srv.limited(limitWrite, l.peer.Addr, l.session.Load())
	}
	l.close(why)
}

// end leaves the session, which outlives the Conn.
func (l *link) end() {
	l.close(transport.Normal)
	if s := l.session.Load(); s != nil {
		s.lost(l)
	}
}

// useless reports whether a stream has carried no session for longer than d, without
// the time that the application takes to decide about one.
func (l *link) useless(now, d time.Duration) bool {
	if l.making.Load() != nil {
		return false
	}
	if s := l.session.Load(); s != nil && s.uses(l) {
		l.unused.Store(0)
		return false
	}
	if l.unused.CompareAndSwap(0, int64(now)) {
		l.words = l.debt()
	}
	if l.owes(l.words) {
		l.unused.Store(int64(now))
		return false
	}
	since := l.unused.Load() // 0: it has got a session just now
	return since != 0 && now-time.Duration(since) > d
}

// uses reports whether l is the session's way out: of one that was kicked, while
// anything leaves.
func (s *Session) uses(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	leaves := s.due != nil || s.sender == l || s.flows() && s.out.waiting()
	return s.stream == l && (s.phase != gone || leaves)
}

// enough is how many bytes of replies may wait for a peer of whom more is read.
const enough = 64 << 10

// awaitRoom waits while the peer of a stream does not take its answers, so that
// one that only asks cannot fill the memory: its next payload is not even read.
func (l *link) awaitRoom() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.waiting > enough {
		if l.drained == nil {
			l.drained = sync.NewCond(&l.mu)
		}
		l.drained.Wait()
	}
}

// add queues replies for a stream's writer. They count in the server's budget.
func (l *link) add(rs ...reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	n := 0
	for _, r := range rs {
		n += len(r.text)
	}
	if l.waiting == 0 {
		l.since = l.srv.sweeps.Load()
	}
	l.waiting += n
	l.srv.queued.Add(int64(n))
	l.replies = append(l.replies, rs...)
}

// left notes that n bytes of replies wait no more. The caller holds mu.
func (l *link) left(n int) {
	if n == 0 {
		return
	}
	l.waiting -= n
	l.passed += uint32(n)
	l.since = l.srv.sweeps.Load()
	l.srv.queued.Add(-int64(n))
	if l.drained != nil {
		l.drained.Broadcast()
	}
}

// unread is how many bytes of replies wait for the peer, those on their way
// included, and since when it has taken none.
func (l *link) unread() (since uint32, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since, l.waiting
}

// debt is how far passed comes when all replies that wait now have left.
func (l *link) debt() uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.passed + uint32(l.waiting)
}

// owes reports whether replies of an earlier debt wait for a peer that is there.
func (l *link) owes(debt uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting > 0 && int32(debt-l.passed) > 0
}

func (srv *Server) connOpened(l *link) {
	srv.stats.conns.Add(1)
	if f := srv.hooks.ConnOpened; f != nil {
		f(l.peer)
	}
}

func (srv *Server) connClosed(l *link, why transport.Reason, err error) {
	srv.stats.conns.Add(-1)
	if why != transport.Normal {
		srv.log.LogAttrs(context.Background(), slog.LevelDebug, "connection ended", slog.String("transport", l.peer.Type), slog.String("reason", why.String()), slog.Any("err", err))
	}
	if f := srv.hooks.ConnClosed; f != nil {
		f(l.peer, why, err)
	}
}

// linkTable is the set of links.
type linkTable struct {
	mu  lock.Mutex[lock.Links]
	all map[*link]struct{}
}

func (t *linkTable) add(l *link) {
	t.mu.Lock()
	t.all[l] = struct{}{}
	t.mu.Unlock()
}

func (t *linkTable) remove(l *link) {
	t.mu.Lock()
	delete(t.all, l)
	t.mu.Unlock()
}

func (t *linkTable) snapshot(in []*link) []*link {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.AppendSeq(slices.Grow(in, len(t.all)), maps.Keys(t.all))
}
