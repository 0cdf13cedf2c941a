//go:build unix

package main

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/codec"
)

// publish keeps so many acknowledged publishes under way. An outcome that does
// not come holds up its end, and one that is an error is the run's.
type publish struct {
	c     *client.Client
	slots chan struct{}
	acked atomic.Int64
	over  atomic.Bool
	all   sync.WaitGroup

	mu  sync.Mutex
	err error
}

func newPublish(c *client.Client, window int) *publish {
	p := &publish{c: c, slots: make(chan struct{}, window)}
	data, _ := codec.Encode([]byte(`"` + strings.Repeat("x", 126) + `"`)) // it is JSON
	p.all.Go(func() { p.run(data) })
	return p
}

func (p *publish) run(data codec.Raw) {
	for !p.over.Load() {
		p.slots <- struct{}{}
		p.all.Add(1)
		err := p.c.PublishFunc("/bench/0", data, func(err error) {
			p.fail(err)
			p.acked.Add(1)
			<-p.slots
			p.all.Done()
		})
		if err != nil {
			p.fail(err)
			p.all.Done()
			return
		}
	}
}

func (p *publish) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}

func (p *publish) count() int64                   { return p.acked.Load() }
func (p *publish) faults() (lost, disorder int64) { return 0, 0 }

// end waits for what is under way.
func (p *publish) end() error {
	p.over.Store(true)
	p.all.Wait()
	return p.err
}
