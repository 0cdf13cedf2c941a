package client

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

// The fault matrix: at each step of the protocol each fault, in each phase of a
// client's life, on both kinds of transport. Afterwards all subscriptions must
// deliver again within five seconds, plus what it takes to notice and the pause
// that backoff has reached, with at most two handshakes.

var (
	steps  = []string{"handshake", "connect", "subscribe", "publish", "deliver"}
	faults = []string{"refused", "reset before", "reset after", "hangs", "half-open", "slow", "duplicated", "wrong advice", "402", "500", "garbage"}
	phases = []string{"first", "hour", "rehandshake"}
)

const (
	slowness   = 3 * time.Second
	outage     = 2 * time.Second
	matrixHold = 20 * time.Second
)

// A saboteur spoils one step, once.
type saboteur struct {
	f           *fake
	d           *switchboard
	step, fault string

	mu    sync.Mutex
	armed bool
	at    time.Time // of the fault
	dead  *wire     // half-open: swallows everything
}

func (s *saboteur) arm() {
	s.mu.Lock()
	s.armed = true
	s.mu.Unlock()
}

// set arms another fault.
func (s *saboteur) set(step, fault string) {
	s.mu.Lock()
	s.step, s.fault, s.armed = step, fault, true
	s.mu.Unlock()
}

func (s *saboteur) disarm() {
	s.mu.Lock()
	s.armed = false
	s.mu.Unlock()
}

// strikes reports which fault is to happen now at step, "" for none.
func (s *saboteur) strikes(step string) (fault string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.armed || s.step != step {
		return ""
	}
	s.armed, s.at = false, time.Now()
	return s.fault
}

func (s *saboteur) isDead(w *wire) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead == w
}

func (s *saboteur) struckAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// first is the fake's hook: what happens to requests.
func (s *saboteur) first(w *wire, m *bayeux.Message) bool {
	if s.isDead(w) {
		return true
	}
	fault := s.strikes(stepOf(m.Channel))
	switch fault {
	case "":
		return false
	case "refused":
		s.d.set(errRefused)
		time.AfterFunc(outage, func() { s.d.set(nil) })
		s.d.cut()
	case "reset before":
		s.d.cut()
	case "reset after":
		w.mute(func() { w.handle(m) })
		s.d.cut()
	case "hangs":
		w.hang()
	case "half-open":
		s.mu.Lock()
		s.dead = w
		s.mu.Unlock()
		w.hang()
	case "slow":
		time.Sleep(slowness)
		return false
	case "duplicated":
		w.double.Store(true)
		return false
	case "wrong advice":
		s.takeEffect(w, m)
		s.reply(w, m, `"successful":true,"advice":{"reconnect":"bogus","interval":"soon","timeout":-7,"hosts":{}}`)
	case "402":
		s.f.forget()
		s.reply(w, m, `"successful":false,"error":"402::session_unknown","advice":{"reconnect":"handshake","interval":0}`)
	case "500":
		if w.conn.Peer().Once {
			w.conn.Close(transport.Internal)
		} else {
			s.reply(w, m, `"successful":false,"error":"500::internal"`)
		}
	case "garbage":
		w.raw(`{"\`)
	}
	return true
}

// takeEffect does what m asks and says nothing.
func (s *saboteur) takeEffect(w *wire, m *bayeux.Message) { w.mute(func() { w.handle(m) }) }

// reply answers m.
func (s *saboteur) reply(w *wire, m *bayeux.Message, rest string) {
	clientID := ""
	if m.Channel == bayeux.MetaHandshake {
		s.f.mu.Lock()
		clientID = fmt.Sprintf(`"clientId":"s%d",`, s.f.made)
		s.f.mu.Unlock()
	}
	w.raw(fmt.Sprintf(`{"channel":%q,"id":%q,%s%s}`, m.Channel, m.ID, clientID, rest))
}

// deliver spoils the delivery of an event, and reports whether it did.
func (s *saboteur) deliver(ch, data string) bool {
	if !s.f.reaches(ch) {
		return false
	}
	switch s.strikes("deliver") {
	case "":
		return false
	case "refused":
		s.d.set(errRefused)
		time.AfterFunc(outage, func() { s.d.set(nil) })
		s.d.cut()
	case "reset before":
		s.d.cut()
	case "reset after":
		s.f.publish(ch, data)
		s.d.cut()
	case "hangs": // the event is lost on the server
	case "half-open":
		if w := s.f.someWire(); w != nil {
			w.dead.Store(true)
			s.mu.Lock()
			s.dead = w
			s.mu.Unlock()
		}
	case "slow":
		time.Sleep(slowness)
		s.f.publish(ch, data)
	case "duplicated":
		s.f.publish(ch, data)
		s.f.publish(ch, data)
	case "wrong advice":
		s.f.publishRaw(fmt.Sprintf(`{"channel":%q,"data":%s,"advice":{"reconnect":"none"}}`, ch, data))
	case "402":
		s.f.forget()
		s.d.cut()
	case "500":
		s.d.cut()
	case "garbage":
		s.f.publishRaw(`{"\`)
	}
	return true
}

func stepOf(ch string) string {
	switch ch {
	case bayeux.MetaHandshake, bayeux.MetaConnect, bayeux.MetaSubscribe:
		return ch[len("/meta/"):]
	case "/publish":
		return "publish"
	}
	return ""
}

// A cell is one run of the matrix.
type cell struct {
	took       time.Duration
	handshakes int
	err        string
}

func runCell(t *testing.T, kind, step, fault, phase string) (out cell) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.hold = matrixHold
		d := board(f, kind)
		s := &saboteur{f: f, d: d, step: step, fault: fault}
		f.first = s.first
		if phase == "first" {
			s.arm()
		}
		c := start(t, dialers(d))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		defer func() { // and nothing may be left
			cancel()
			c.Close()
			<-c.Done()
			wg.Wait()
			time.Sleep(2 * slowness)
		}()

		var mu sync.Mutex
		recovered := make(map[string]time.Time)
		for _, ch := range []string{"/a", "/b/*", "/c/**"} {
			wg.Go(func() {
				sub, err := c.Subscribe(ctx, ch)
				for step == "subscribe" && err != nil && ctx.Err() == nil {
					sub, err = c.Subscribe(ctx, ch) // a first refusal is the caller's
				}
				if err != nil {
					return
				}
				for m := range sub.Messages(ctx) {
					var sent int64
					fmt.Sscan(string(m.Data), &sent)
					mu.Lock()
					at := s.struckAt()
					if _, ok := recovered[ch]; !ok && !at.IsZero() && sent > at.UnixNano() {
						recovered[ch] = time.Now()
					}
					mu.Unlock()
				}
			})
		}
		if phase != "first" {
			time.Sleep(map[string]time.Duration{"hour": time.Hour, "rehandshake": 65 * time.Second}[phase])
		}
		before := f.count(bayeux.MetaHandshake)
		if phase != "first" {
			s.arm()
			if phase == "rehandshake" || step == "handshake" || step == "subscribe" {
				f.forget()
				d.cut()
			}
		}
		wg.Go(func() { // traffic: publishes of the client's and events of the server's
			for ctx.Err() == nil {
				if step == "publish" && s.struckAt().IsZero() {
					c.Publish(ctx, "/publish", 1)
				}
				for _, ch := range []string{"/a", "/b/x", "/c/x/y"} {
					if data := fmt.Sprint(time.Now().UnixNano()); !s.deliver(ch, data) {
						f.publish(ch, data)
					}
				}
				select {
				case <-time.After(250 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
		allowed := 5*time.Second + 1200*time.Millisecond + noticed(step, fault)
		for range int((allowed + matrixHold + 10*time.Second) / (100 * time.Millisecond)) {
			time.Sleep(100 * time.Millisecond)
			mu.Lock()
			n := len(recovered)
			mu.Unlock()
			if n == 3 {
				break
			}
		}
		time.Sleep(time.Second) // should a second handshake follow
		mu.Lock()
		defer mu.Unlock()
		out.handshakes = f.count(bayeux.MetaHandshake) - before
		at := s.struckAt()
		for _, r := range recovered {
			out.took = max(out.took, r.Sub(at))
		}
		switch {
		case at.IsZero():
			out.err = "the fault never happened"
		case len(recovered) < 3:
			out.err = fmt.Sprintf("%d of 3 subscriptions deliver, state %v", len(recovered), c.State())
		case out.took > allowed:
			out.err = fmt.Sprintf("took %v, allowed %v", out.took, allowed)
		case out.handshakes > 2:
			out.err = fmt.Sprintf("%d handshakes", out.handshakes)
		}
	})
	return out
}

// noticed is how long nobody can tell that something is wrong.
func noticed(step, fault string) time.Duration {
	switch fault {
	case "refused":
		return outage
	case "slow":
		return slowness
	case "hangs", "half-open":
		if step == "handshake" || step == "subscribe" {
			return 10 * time.Second
		}
		return matrixHold + 10*time.Second
	}
	return 0
}

func TestFaultMatrix(t *testing.T) {
	cells, failed := 0, 0
	var table bytes.Buffer
	out := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, kind := range []string{streams, polls} {
		for _, step := range steps {
			fmt.Fprintf(out, "%s %s", kind, step)
			for _, phase := range phases {
				fmt.Fprintf(out, "\t%s", phase)
			}
			fmt.Fprintln(out)
			for _, fault := range faults {
				fmt.Fprintf(out, "  %s", fault)
				for _, phase := range phases {
					got := runCell(t, kind, step, fault, phase)
					fmt.Fprintf(out, "\t%.1fs %dh", got.took.Seconds(), got.handshakes)
					if cells++; got.err != "" {
						failed++
						fmt.Fprint(out, " FAILED")
						t.Errorf("%s, %s, %s, %s: %s", kind, step, fault, phase, got.err)
					}
				}
				fmt.Fprintln(out)
			}
		}
	}
	out.Flush()
	t.Logf("%d cells, %d failed: time from the fault until every subscription delivers, and handshakes\n%s", cells, failed, table.String())
}
