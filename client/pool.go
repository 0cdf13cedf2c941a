package client

import (
	"net/http"
	"sync/atomic"
	"time"
)

// How long an HTTP/2 connection may say nothing before it is pinged, and how long
// the answer may stay out. Over one that holds a connect little is said, and a path
// that has died would be used until the kernel gives it up.
const (
	pingAfter    = 15 * time.Second
	pingPatience = 10 * time.Second
)

// A pool is the connections of a client whose program brought none. renew is for
// one goroutine, that of forgetCookies and close.
type pool struct {
	now    atomic.Pointer[http.Transport]
	before *http.Transport // its exchanges may still be under way
}

// newPool makes connections as t does, and asks those of HTTP/2 whether they live,
// unless t says how.
func newPool(t *http.Transport) *pool {
	t = t.Clone()
	if t.HTTP2 == nil {
		t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingPatience}
	}
	p := new(pool)
	p.now.Store(t)
	return p
}

func (p *pool) RoundTrip(r *http.Request) (*http.Response, error) { return p.now.Load().RoundTrip(r) }

// renew leaves all connections to what is under way over them.
func (p *pool) renew() {
	p.CloseIdleConnections()
	p.before = p.now.Load()
	p.now.Store(p.before.Clone())
	p.before.CloseIdleConnections()
}

func (p *pool) CloseIdleConnections() {
	p.now.Load().CloseIdleConnections()
	if p.before != nil {
		p.before.CloseIdleConnections()
	}
}
