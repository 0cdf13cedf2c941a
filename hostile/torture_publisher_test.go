package hostile_test

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/gocometd/cometd/client"
)

// A note is what publishers publish.
type note struct {
	From string
	N    int
}

// remembered is for how many messages a publisher knows which may not have been
// taken: for a quarter of a minute.
const remembered = 1 << 14

// A publisher publishes numbers, about one in a millisecond.
type publisher struct {
	w    *chamber
	name string
	c    *client.Client // nil: it publishes on the server

	mu     sync.Mutex
	now    int          // being published
	unsure map[int]bool // may not have been taken
	taken  int          // the last that surely was
}

// publish begins to publish on /t/0 to /t/n-1: every second one over a client,
// the others on the server itself, if that is in this process.
func (w *chamber) publish(n int) {
	for i := range n {
		p := &publisher{w: w, name: strconv.Itoa(i), unsure: map[int]bool{}}
		if i%2 == 1 || w.host.server() == nil {
			p.c = w.dial(w.good.URL(), i)
		}
		w.publishers = append(w.publishers, p)
	}
	for _, p := range w.publishers {
		w.publishing.Go(func() { p.run(w.loud) })
	}
}

func (p *publisher) last() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

func (p *publisher) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		p.begin(n)
		p.settle(n, p.publish(ctx, note{p.name, n}))
		time.Sleep(time.Millisecond)
	}
}

// begin says that n may be heard before its publisher has the answer, or not at
// all.
func (p *publisher) begin(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = n
	p.unsure[n] = true
	delete(p.unsure, n-remembered)
}

func (p *publisher) settle(n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.taken = n
		delete(p.unsure, n)
	}
}

func (p *publisher) publish(ctx context.Context, v note) error {
	if p.c == nil {
		return p.w.host.server().Publish(ctx, "/t/"+p.name, v)
	}
	return p.c.Publish(ctx, "/t/"+p.name, v)
}

func (p *publisher) isUnsure(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unsure[n]
}

func (p *publisher) gaveUp(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unsure[n] && n < p.now
}

func (p *publisher) end() {
	if p.c != nil {
		p.c.Close()
		<-p.c.Done()
	}
}
