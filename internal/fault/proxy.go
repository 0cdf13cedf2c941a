package fault

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// NewListener gives each connection that l accepts the steps that plan has for
// it.
func NewListener(l net.Listener, plan Plan) net.Listener { return &listener{Listener: l, plan: plan} }

type listener struct {
	net.Listener
	plan   Plan
	number atomic.Int64
}

func (l *listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newConn(nc, l.plan(int(l.number.Add(1)-1))), nil
}

// A Proxy carries TCP connections to a server, and harms them on the way. All
// methods may be called from any goroutine.
type Proxy struct {
	ln     net.Listener
	plan   Plan
	ctx    context.Context
	cancel context.CancelFunc
	copies sync.WaitGroup

	mu     sync.Mutex
	target string
	down   bool
	calm   bool
	number int
	open   map[*conn]struct{}
}

// NewProxy listens on a port of the loopback and carries what comes there to
// target, host:port. It runs until Close.
func NewProxy(target string, plan Plan) (*Proxy, error) {
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{ln: ln, plan: plan, target: target, open: map[*conn]struct{}{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.copies.Go(p.accept)
	return p, nil
}

// Addr is where the proxy listens, as host:port.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// URL is Addr as an http URL without a path.
func (p *Proxy) URL() string { return "http://" + p.Addr() }

// Retarget sends connections that come from now on to another server.
func (p *Proxy) Retarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Calm gives no faults to connections that come from now on.
func (p *Proxy) Calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calm = true
}

// Down cuts every connection, and each that comes, until Up.
func (p *Proxy) Down() {
	p.mu.Lock()
	p.down = true
	p.mu.Unlock()
	p.Cut()
}

// Up ends Down.
func (p *Proxy) Up() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// Cut cuts all connections of now and says how many there were.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.cut()
	}
	return len(p.open)
}

// HalfOpen makes all connections of now half-open, and says how many there were.
// Those that come later are good.
func (p *Proxy) HalfOpen() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.lose()
	}
	return len(p.open)
}

// Close cuts everything, and returns when nothing of the proxy runs.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.ln.Close()
	p.Down()
	p.copies.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		nc, err := p.ln.Accept()
		if err != nil {
			return
		}
		c, target := p.enter(nc)
		if c == nil {
			continue
		}
		p.copies.Go(func() { p.carry(c, target) })
	}
}

// enter lists nc, or cuts it while the proxy is down.
func (p *Proxy) enter(nc net.Conn) (*conn, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var steps []Step
	if p.plan != nil && !p.calm {
		steps = p.plan(p.number)
	}
	p.number++
	c := newConn(nc, steps)
	if p.down {
		c.cut()
		return nil, ""
	}
	p.open[c] = struct{}{}
	return c, p.target
}

// carry copies both ways until one of them ends.
func (p *Proxy) carry(c *conn, target string) {
	defer func() {
		p.mu.Lock()
		delete(p.open, c)
		p.mu.Unlock()
		c.Close()
	}()
	d := net.Dialer{Timeout: 5 * time.Second}
	server, err := d.DialContext(p.ctx, "tcp", target)
	if err != nil {
		c.cut()
		return
	}
	defer server.Close()
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(c, server)
		if c.isHalf() { // the client is not told
			<-c.closed
		}
		c.Close()
	})
	io.Copy(struct{ io.Writer }{server}, c)
	server.Close()
	back.Wait()
}
