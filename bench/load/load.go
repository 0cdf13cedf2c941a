//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A load is all connections to one server and what was counted on them. One
// goroutine has it.
type load struct {
	settings
	dialect    dialect
	http       bool // long-polling
	secure     bool // TLS
	host, path string
	addr       syscall.SockaddrInet4

	ep    int     // epoll's descriptor
	conns []*conn // by descriptor
	buf   []byte  // for what is read
	wbuf  []byte  // for a frame to be written
	now   int64   // when epoll returned, in nanoseconds since 1970
	due   int64   // when the message that is being made is due, likewise
	later []delayed
	err   error // the first failure of any connection; ends the run

	ready     int // sessions that are set up
	subs      []*conn
	pubs      []*conn
	perChan   []tally
	pad       string // the end of every message's data
	begun     int    // sessions: life cycles
	completed int

	counts
}

// A tally is of one channel.
type tally struct{ subscribers, sent, received int64 }

// counts are of one phase.
type counts struct {
	received, bytes, reads, frames int64
	disorder, connectReplies       int64
	latency                        *hdrhistogram.Histogram // in nanoseconds
}

const longest = time.Minute // that a latency can be told apart from more

func newCounts() counts {
	return counts{latency: hdrhistogram.New(1, int64(longest), 3)}
}

// dataHead and dataTail are around the mark of a message's data; the filling
// comes before its end.
const (
	dataHead = `{"m":"`
	dataTail = `","room":"bench","user":"u0001","text":"`
	dataEnd  = `"}`
)

func newLoad(s settings) (*load, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	u, err := url.Parse(s.url)
	if err != nil {
		return nil, fmt.Errorf("-url: %w", err)
	}
	l := &load{settings: s, host: u.Host, path: "/" + strings.TrimPrefix(u.Path, "/"), counts: newCounts(),
		buf: make([]byte, 1<<20), perChan: make([]tally, s.channels)}
	if err := l.reach(u); err != nil {
		return nil, err
	}
	if l.dialect, err = newDialect(l); err != nil {
		return nil, err
	}
	l.pad = dataTail + strings.Repeat("x", s.payload-leastPayload) + dataEnd
	if l.ep, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return l, nil
}

// reach takes apart where the server is.
func (l *load) reach(u *url.URL) error {
	l.http = u.Scheme == "http" || u.Scheme == "https"
	l.secure = u.Scheme == "https" || u.Scheme == "wss"
	if !l.http && u.Scheme != "ws" && u.Scheme != "wss" {
		return fmt.Errorf("-url is %q, want ws, wss, http or https", u)
	}
	ip := net.ParseIP(u.Hostname()).To4()
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if ip == nil || err != nil {
		return fmt.Errorf("-url is %q, want an IPv4 address and a port", u)
	}
	copy(l.addr.Addr[:], ip)
	l.addr.Port = int(port)
	return nil
}

// fail ends c, and the run.
func (l *load) fail(c *conn, why error) {
	if l.err == nil {
		l.err = why
	}
	l.close(c)
}

func (l *load) closeAll() {
	for _, c := range l.conns {
		if c != nil {
			l.close(c)
		}
	}
	syscall.Close(l.ep)
}

// setup makes n sessions, and returns when all are ready. At most -inflight of
// them are being made at a time.
func (l *load) setup(n int, role role, channel func(i int) int) ([]*conn, error) {
	const patience = 2 * time.Minute
	before, start := l.ready, time.Now()
	made := make([]*conn, 0, n)
	for l.ready-before < n {
		for len(made) < n && len(made)-(l.ready-before) < l.inflight {
			c, err := l.dial(role, channel(len(made)))
			if err != nil {
				return nil, err
			}
			made = append(made, c)
			l.start(c)
		}
		if err := l.poll(50 * time.Millisecond); err != nil {
			return nil, fmt.Errorf("after %d of %d sessions: %w", l.ready-before, n, err)
		}
		if time.Since(start) > patience {
			return nil, fmt.Errorf("%d of %d sessions after %v", l.ready-before, n, patience)
		}
	}
	return made, nil
}

// rest lets d pass.
func (l *load) rest(d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if err := l.poll(10 * time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

var errNothing = errors.New("nothing was delivered")
