package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
)

// maxOpening is how many connections are being opened at a time.
const maxOpening = 64

// A benchRun is all clients of one run.
type benchRun struct {
	*benchCmd
	prefix  string
	web     *http.Client
	count   *benchCount
	streams []*benchStream
	pubs    []*client.Client
	subs    []*client.Client
	stalls  []*stalledClient
	broken  breakages
}

// measure makes the clients, lets them do their work, and ends them. Its progress
// is shown behind about. There is a report of work that went wrong, too.
func (b *benchCmd) measure(ctx context.Context, tty console, stalled int, about string) (*benchReport, error) {
	web, err := b.browser()
	if err != nil {
		return nil, err
	}
	r := &benchRun{benchCmd: b, prefix: b.Prefix + "/" + rand.Text()[:8], web: web}
	defer web.CloseIdleConnections()
	defer r.close()
	r.count = newBenchCount(max(b.Publishers, b.Channels), b.Window)
	if err := r.open(ctx, tty, stalled); err != nil {
		return nil, err
	}
	bar := b.progress(tty, r.count, about)
	defer bar.end()
	memory := watchMemory(b.PID)
	err = r.work(ctx)
	fates := r.wake(ctx) // first, while the server may still know
	r.settle()
	err = cmp.Or(err, r.failed())
	most := memory.end()
	r.close() // so that no handler runs any more
	return r.report(fates, most), err
}

// wake lets the stalled clients read at last, also after a signal.
func (r *benchRun) wake(ctx context.Context) []stalledFate {
	fates := make([]stalledFate, len(r.stalls))
	var g errgroup.Group
	g.SetLimit(maxOpening)
	for i, s := range r.stalls {
		g.Go(func() error { fates[i] = s.fate(context.WithoutCancel(ctx)); return nil })
	}
	_ = g.Wait() // none fails
	return fates
}

// browser is what all clients reach the network with. Each has two connections
// when it polls.
func (b *benchCmd) browser() (*http.Client, error) {
	web := &http.Client{Transport: network()}
	if b.CA != "" {
		var err error
		if web, err = trusting(b.CA); err != nil {
			return nil, err
		}
	}
	t := web.Transport.(*http.Transport)
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 2*(b.Clients+b.Publishers)
	return web, nil
}

// open connects publishers and subscribers, and returns when every subscription
// is accepted.
func (r *benchRun) open(ctx context.Context, tty console, stalled int) error {
	var err error
	if r.pubs, err = r.connect(ctx, tty, r.Publishers, func(context.Context, int, *client.Client) error { return nil }); err != nil {
		return err
	}
	if r.subs, err = r.connect(ctx, tty, r.Clients, r.subscribe); err != nil {
		return err
	}
	answers := make([]chan struct{}, len(r.pubs))
	for i := range answers {
		answers[i] = make(chan struct{}, 1)
	}
	for k, s := range r.count.streams {
		channel := k % r.Channels
		s.subscribers = int64((r.Clients - channel + r.Channels - 1) / r.Channels)
		r.streams = append(r.streams, &benchStream{benchTally: s, number: k, client: r.pubs[k%r.Publishers],
			answered: answers[k%r.Publishers], channel: r.channel(channel), size: r.Size})
	}
	for i := range stalled {
		s, err := r.stall(ctx, r.channel(i%r.Channels))
		if err != nil {
			return fmt.Errorf("stalled subscriber: %w", err)
		}
		r.stalls = append(r.stalls, s)
	}
	return nil
}

func (r *benchRun) channel(i int) string { return fmt.Sprintf("%s/%d", r.prefix, i) }

// connect makes n clients, and does with each what ready says.
func (r *benchRun) connect(ctx context.Context, tty console, n int, ready func(context.Context, int, *client.Client) error) ([]*client.Client, error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxOpening)
	var mu sync.Mutex
	var made []*client.Client
	for i := range n {
		g.Go(func() error {
			c, err := r.dialWatched(ctx, tty, r.broken.note, client.WithHTTPClient(r.web))
			if err != nil {
				return err
			}
			mu.Lock()
			made = append(made, c)
			mu.Unlock()
			return ready(ctx, i, c)
		})
	}
	err := g.Wait()
	return made, err
}

func (r *benchRun) subscribe(ctx context.Context, i int, c *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, r.Wait)
	defer cancel()
	channel := i % r.Channels
	l := r.count.listener(i, func(stream int64) bool { return int(stream)%r.Channels == channel })
	_, err := c.SubscribeFunc(ctx, r.channel(channel), func(_ context.Context, m *bayeux.Message) error {
		l.hear(m.Data)
		return nil
	})
	return r.unanswered("the subscribe to "+r.channel(channel), err)
}

// work publishes for the warm-up and the duration, or until ctx ends.
func (r *benchRun) work(ctx context.Context) error {
	r.count.measure(time.Now().Add(r.WarmUp), r.Duration)
	ctx, cancel := context.WithTimeout(ctx, r.WarmUp+r.Duration)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.watch(ctx) })
	if r.Rate > 0 {
		g.Go(func() error { return r.pace(ctx) })
	} else {
		for _, s := range r.streams {
			g.Go(func() error { return s.fill(ctx) })
		}
	}
	err := g.Wait()
	r.count.cutShort(time.Now())
	return err
}

// pace publishes when it is time, on one stream after the other.
func (r *benchRun) pace(ctx context.Context) error {
	every := time.Duration(float64(time.Second) / r.Rate)
	due := time.Now()
	for turn := 0; ; turn++ {
		if wait := time.Until(due); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return nil
			}
		} else if ctx.Err() != nil {
			return nil
		}
		if err := r.streams[turn%len(r.streams)].publish(ctx, due); err != nil {
			return err
		}
		due = due.Add(every)
	}
}

// watch fails when nothing comes for --wait, though it should: a client without
// a server keeps what it is to publish, and says nothing.
func (r *benchRun) watch(ctx context.Context) error {
	if r.silent(func() bool { return ctx.Err() != nil }) {
		return fmt.Errorf("nothing has arrived for %v, and %d messages should", r.Wait, r.count.backlog())
	}
	return nil
}

// settle waits for what is under way, as long as it keeps coming. Once all has come
// it stays for what may come again.
func (r *benchRun) settle() {
	if !r.silent(func() bool { return r.count.backlog() == 0 }) {
		time.Sleep(r.count.encore())
	}
}

// silent looks at what comes until done. It returns true as soon as something is
// under way and nothing has come for --wait.
func (r *benchRun) silent(done func() bool) bool {
	const look = 10 * time.Millisecond
	last, since := r.count.received(), time.Now()
	for !done() {
		time.Sleep(look)
		if now := r.count.received(); now != last || r.count.backlog() == 0 {
			last, since = now, time.Now()
		}
		if time.Since(since) > r.Wait {
			return true
		}
	}
	return false
}

// failed is what became of the first publish that came to nothing.
func (r *benchRun) failed() error {
	for _, s := range r.streams {
		if err := s.failed(); err != nil {
			return err
		}
	}
	return nil
}

// close ends all clients, and waits until none of their handlers runs.
func (r *benchRun) close() {
	var g errgroup.Group
	g.SetLimit(maxOpening)
	for _, c := range append(r.subs, r.pubs...) {
		g.Go(func() error {
			err := c.Close()
			<-c.Done() // its handlers have ended
			return err
		})
	}
	for _, s := range r.stalls {
		g.Go(s.close)
	}
	_ = g.Wait() // a server that is gone is told by what was lost
}

// A benchStream is what one publisher sends on one channel.
type benchStream struct {
	*benchTally
	number   int
	client   *client.Client
	answered chan struct{} // has one when the client has had an answer; all its streams share it
	channel  string
	size     int
}

// fill publishes whenever the window has room, until ctx ends or a publish fails.
func (s *benchStream) fill(ctx context.Context) error {
	for {
		select {
		case <-s.room:
		case <-ctx.Done():
			return nil
		}
		if err := s.failed(); err != nil {
			return err
		}
		for s.hasRoom() && ctx.Err() == nil {
			if err := s.publish(ctx, time.Now()); err != nil {
				return err
			}
		}
	}
}

// publish sends the next message, which was due then. While as many of the
// client's requests wait for answers as may, it waits too: who publishes at a rate
// falls behind, and its messages are late. It returns what became of an earlier
// one, too.
func (s *benchStream) publish(ctx context.Context, due time.Time) error {
	if err := s.failed(); err != nil {
		return err
	}
	number := s.sent.Add(1) - 1 // first, for it may arrive before PublishFunc returns
	data := json.RawMessage(s.count.appendData(nil, s.number, number, due, s.size))
	err := s.client.PublishFunc(s.channel, data, s.outcome)
	for errors.Is(err, client.ErrBusy) {
		select {
		case <-s.answered:
			err = s.client.PublishFunc(s.channel, data, s.outcome)
		case <-ctx.Done():
			s.sent.Add(-1)
			return nil
		}
	}
	if err != nil {
		s.sent.Add(-1) // it has not left, so it cannot be lost
		return fmt.Errorf("publish to %s: %w", s.channel, err)
	}
	if s.count.measures(int64(due.Sub(s.count.began))) {
		s.measured.Add(1)
	}
	return nil
}

func (s *benchStream) outcome(err error) {
	if err != nil {
		s.fail(fmt.Errorf("publish to %s: %w", s.channel, err))
	}
	select {
	case s.answered <- struct{}{}:
	default:
	}
}
