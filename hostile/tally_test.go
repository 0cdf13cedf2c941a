package hostile_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

// deeds are what attackers did, and what they saw come of it. Those who do not
// look see nothing.
type deeds struct {
	Connections int // that were opened
	Sent        int // bytes
	Answered    int // requests and messages
	Refused     int // those answered with an error, and sockets closed with a code
	Cut         int // connections that the server ended, and the attackers had not
	GivenUp     int // attempts, because of any of these

	First string // why the first attempt was given up
	Took  time.Duration
}

func (d deeds) and(e deeds) deeds {
	return deeds{
		d.Connections + e.Connections, d.Sent + e.Sent, d.Answered + e.Answered, d.Refused + e.Refused, d.Cut + e.Cut, d.GivenUp + e.GivenUp,
		cmp.Or(d.First, e.First), d.Took + e.Took,
	}
}

// String is a part of a row of a table, per second.
func (d deeds) String() string {
	per := func(n int) float64 { return float64(n) / d.Took.Seconds() }
	return fmt.Sprintf("%.0f | %.0f | %.0f | %.0f | %.0f | %.0f",
		per(d.Connections), per(d.Sent>>10), per(d.Answered), per(d.Refused), per(d.Cut), per(d.GivenUp))
}

// A tally counts the deeds of many attackers. A nil one does not.
type tally struct {
	mu sync.Mutex
	deeds
}

func (t *tally) add(more deeds) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deeds = t.deeds.and(more)
}

func (t *tally) sum() deeds {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.deeds
}

// heard counts n answers.
func (t *tally) heard(n int, refused bool) {
	if refused {
		t.add(deeds{Refused: n})
		return
	}
	t.add(deeds{Answered: n})
}

// watch counts what becomes of a new connection.
func (t *tally) watch(c net.Conn) net.Conn {
	if t == nil {
		return c
	}
	t.add(deeds{Connections: 1})
	return &watched{Conn: c, of: t}
}

type watched struct {
	net.Conn
	of  *tally
	cut sync.Once
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.note(err)
	return n, err
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.of.add(deeds{Sent: n})
	w.note(err)
	return n, err
}

func (w *watched) note(err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
		w.cut.Do(func() { w.of.add(deeds{Cut: 1}) })
	}
}

// An undaunted attacker whom the server has refused or cut off begins again.
type undaunted struct {
	testing.TB // none: what follows is all that attackers ask of it
	of         *tally
}

func (undaunted) Helper()                  {}
func (undaunted) Name() string             { return "attackers" }
func (undaunted) Context() context.Context { return context.Background() }

func (u undaunted) Errorf(format string, args ...any) {
	u.of.add(deeds{First: fmt.Sprintf(format, args...)})
}

func (u undaunted) Fatalf(format string, args ...any) {
	u.Errorf(format, args...)
	u.FailNow()
}

func (u undaunted) FailNow() {
	u.of.add(deeds{GivenUp: 1})
	runtime.Goexit()
}
