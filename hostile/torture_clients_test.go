package hostile_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/internal/fault"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

// dial makes the client number i: two over WebSocket, two over long-polling, and
// so on.
func (w *chamber) dial(url string, i int, opts ...client.Option) *client.Client {
	var d transport.Dialer = wsclient.NewDialer()
	if i/2%2 == 1 {
		d = longpoll.NewDialer()
	}
	c, err := cometd.New(url, append([]client.Option{
		client.WithTransports(d), client.WithBackoff(10*time.Millisecond, 200*time.Millisecond), client.WithRehandshakeOnNone(),
		client.WithTimeouts(client.Timeouts{Open: time.Second, NetworkDelay: delay, DefaultTimeout: time.Second, Close: 200 * time.Millisecond}),
	}, opts...)...)
	require.NoError(w.t, err)
	return c
}

// overtaking is HTTP whose requests arrive late, or not at all, and whose answers
// are cut short. Those of a client that acknowledges arrive twice, too, and their
// answers late: a poll that its client knows nothing of takes messages with it,
// and nobody but an acknowledgement tells.
func (w *chamber) overtaking(i int) (h *http.Client, end func()) {
	base := &http.Transport{}
	rt := fault.NewRoundTripper(base, func(number int) []fault.Step {
		r := rand.New(rand.NewPCG(w.seed+uint64(i), uint64(number)))
		if w.calmed.Err() != nil {
			return nil
		}
		late := time.Duration(r.Int64N(int64(200 * time.Millisecond)))
		switch n := r.IntN(100); {
		case n < 10 && i%2 == 0:
			return []fault.Step{{Kind: fault.Duplicate}}
		case n < 20 && i%2 == 0:
			return []fault.Step{{Kind: fault.Reorder, Way: fault.In, For: late}}
		case n >= 20 && n < 30:
			return []fault.Step{{Kind: fault.Reorder, For: late}}
		case n >= 30 && n < 32:
			return []fault.Step{{Kind: fault.Cut}}
		case n >= 32 && n < 34:
			return []fault.Step{{Kind: fault.Cut, Way: fault.In, After: r.IntN(200)}}
		}
		return nil
	})
	return &http.Client{Transport: rt}, func() {
		rt.Close()
		base.CloseIdleConnections()
	}
}

// A seat has a client that listens, and after that another one.
type seat struct {
	w *chamber
	i int

	mu sync.Mutex
	l  *listener
}

// fill makes n seats, in which clients and subscriptions come and go.
func (w *chamber) fill(n int) {
	for i := range n {
		s := &seat{w: w, i: i}
		s.l = w.listen(i)
		w.seats = append(w.seats, s)
	}
	for _, s := range w.seats {
		w.stirs.Go(s.stir)
	}
}

func (s *seat) listener() *listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.l
}

// stir subscribes and unsubscribes, and now and then brings another client.
func (s *seat) stir() {
	r := rand.New(rand.NewPCG(s.w.seed, uint64(2+s.i)))
	for {
		select {
		case <-s.w.calmed.Done():
			return
		case <-time.After(time.Duration(r.Int64N(int64(500 * time.Millisecond)))):
		}
		if l := s.listener(); r.IntN(8) == 0 || l.deaf() {
			s.replace()
		} else {
			l.changeItsMind(r)
		}
	}
}

// replace ends the client and brings another one.
func (s *seat) replace() {
	s.listener().end()
	l := s.w.listen(s.i)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.l = l
}

// replaceEnded puts new clients in the place of those that have ended: by a corrupted
// refusal, say, or a handshake reply that names no transport they know; or whose
// subscription was given up or refused.
func (w *chamber) replaceEnded() {
	ended := 0
	for _, s := range w.seats {
		if l := s.listener(); l.c.State() == bayeux.Stopped || l.deaf() {
			ended++
			s.replace()
		}
	}
	w.t.Logf("%d of %d listeners had ended", ended, len(w.seats))
}

// A listener is a client that checks what it hears.
type listener struct {
	w     *chamber
	kind  string
	ack   bool
	c     *client.Client
	sub   *client.Subscription
	main  *ear
	extra *client.Subscription // a second subscription; its seat's
	tie   tie
	after func() // ends what the client leaves behind
}

func (w *chamber) listen(i int) *listener {
	l := &listener{w: w, ack: i%2 == 0, after: func() {}}
	l.kind = []string{"WebSocket", "long-polling", "WebSocket", "long-polling, requests harmed"}[i/2%4]
	l.tie = tie{w: w, who: strconv.Itoa(i) + ", " + l.kind, polls: i/2%2 == 1}
	opts := []client.Option{client.WithExtension(l.tie.extension())}
	if l.ack {
		l.kind += ", with acknowledgement"
		opts = append(opts, client.WithExtension(ack.Client()))
	}
	if i%8 >= 6 {
		var h *http.Client
		h, l.after = w.overtaking(i)
		opts = append(opts, client.WithHTTPClient(h))
	}
	l.c = w.dial(w.bad.URL(), i, opts...)
	l.main = newEar(l, "/t/*")
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	var err error
	l.sub, err = l.c.SubscribeFunc(ctx, "/t/*", l.main.hear, client.WithQueue(1<<16, client.Pause), client.WithOnGap(l.main.gap))
	if err != nil && !w.excused(err) {
		w.complain("listener %d (%s) cannot subscribe: %v", i, l.kind, err)
	}
	return l
}

// excused counts a subscribe or an unsubscribe that was given up, if err is that: its
// connection broke five times in the middle of it; and a subscription that the policy
// has refused.
func (w *chamber) excused(err error) bool {
	refused := new(bayeux.Error)
	switch {
	case errors.Is(err, client.ErrLost):
		w.chokes.Add(1)
	case errors.As(err, &refused) && slices.Equal(refused.Args, unwanted.Args):
		w.refusals.Add(1)
	default:
		return false
	}
	return true
}

// deaf: the first subscription has ended, or never was.
func (l *listener) deaf() bool { return l.sub == nil || l.sub.Err() != nil }

// changeItsMind subscribes once more, or gives that up.
func (l *listener) changeItsMind(r *rand.Rand) {
	ctx, cancel := context.WithTimeout(l.w.t.Context(), time.Duration(r.Int64N(int64(2*time.Second))))
	defer cancel()
	var err error
	if l.extra != nil {
		err = l.extra.Unsubscribe(ctx)
		l.extra = nil
	} else {
		ch := []string{"/t/0", "/t/1", "/t/*", "/t/**"}[r.IntN(4)]
		e := newEar(l, "also "+ch)
		l.extra, err = l.c.SubscribeFunc(ctx, ch, e.hear, client.WithQueue(1<<16, client.Pause), client.WithOnGap(e.gap))
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) && !l.w.excused(err) {
		l.w.complain("listener %s: a subscription more or less: %v", l.tie.who, err)
	}
}

// hearsMore reports whether l has heard something of each of n publishers, beside
// what it had heard before if it is the same client as then.
func (l *listener) hearsMore(n int, then *listener, before map[string]int) bool {
	if l != then {
		before = nil
	}
	now := l.main.counts()
	for name, n := range now {
		if n < before[name]+3 {
			return false
		}
	}
	return len(now) == n
}

// end ends the client, which must have listened until now; what it has heard counts.
func (l *listener) end() {
	if l.sub != nil {
		if err := l.sub.Err(); err != nil && !l.w.excused(err) {
			l.w.complain("listener %s: the first subscription has ended: %v", l.tie.who, err)
		}
	}
	l.c.Close()
	<-l.c.Done()
	l.after()
	l.main.mu.Lock()
	defer l.main.mu.Unlock()
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	for _, n := range l.main.heard {
		l.w.heard += n
	}
	l.w.gaps += l.main.gaps
}
