package client

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

const (
	slowness = 3 * time.Second
	outage   = 2 * time.Second
)

// A saboteur spoils one step, once. What each fault does to a request:
//
//	refused       the connection breaks, and no other opens for a while
//	reset before  the connection breaks, and the server has not seen it
//	reset after   the connection breaks, and it has taken effect
//	hangs         it is never answered; all else goes on
//	half-open     from it on everything is lost on this connection, both ways
//	slow          its reply is late, and what comes after it
//	duplicated    its reply comes twice, on a stream also a moment later
//	wrong advice  its reply advises what no protocol knows
//	402, 500      it is refused: the session is gone, the server is in trouble
//	garbage       its reply is no JSON
//
// and to an event, see deliver.
type saboteur struct {
	f           *fake
	net         network
	outage      time.Duration
	step, fault string

	mu    sync.Mutex
	armed bool
	at    time.Time // of the fault
	sunk  bool      // half-open: exchanges are lost until the client gives one up
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

func (s *saboteur) struckAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// first is the fake's hook: what happens to requests.
func (s *saboteur) first(w *wire, m *bayeux.Message) bool {
	if w.deaf.Load() || s.isSunk() && w.conn.Peer().Once {
		s.lose(w)
		w.hang()
		return true
	}
	fault := s.strikes(StepOf(m.Channel))
	switch fault {
	case "":
		return false
	case "refused":
		s.refuse()
	case "reset before":
		s.net.cut()
	case "reset after":
		w.mute(func() { w.handle(m) })
		s.net.cut()
	case "hangs":
		w.hang()
	case "half-open":
		s.sink()
		w.hang()
	case "slow":
		time.Sleep(slowness)
		return false
	case "duplicated":
		w.twice.Store(&m.ID)
		return false
	case "wrong advice":
		w.mute(func() { w.handle(m) })
		if m.Channel == bayeux.MetaConnect {
			s.f.letGo(m.ClientID)
		}
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

// deliver spoils the delivery of an event, and reports whether it did. Reset
// before and after are as with a request; the others:
//
//	hangs         the server sends nothing more over this connection, but hears
//	half-open     nor does it hear
//	slow          the connection takes nothing for a while
//	duplicated    the event comes twice
//	wrong advice  it carries the advice to stop
//	402           instead the server says that the session is gone
//	500           the server ends the connection with an internal error
//	garbage       no JSON comes
func (s *saboteur) deliver(ch, data string) bool {
	w := s.f.someWire()
	if w == nil || !s.f.reaches(ch) {
		return false
	}
	switch s.strikes("deliver") {
	case "":
		return false
	case "refused":
		s.refuse()
	case "reset before":
		s.net.cut()
	case "reset after":
		s.f.publish(ch, data)
		time.Sleep(time.Millisecond) // it arrives
		s.net.cut()
	case "hangs":
		w.dead.Store(true)
	case "half-open":
		s.sink()
	case "slow":
		w.mu.Lock()
		time.AfterFunc(slowness, w.mu.Unlock)
		s.f.publish(ch, data)
	case "duplicated":
		s.f.publish(ch, data)
		s.f.publish(ch, data)
	case "wrong advice":
		s.f.publishRaw(fmt.Sprintf(`{"channel":%q,"data":%s,"advice":{"reconnect":"none"}}`, ch, data))
	case "402":
		s.f.expel()
	case "500":
		w.conn.Close(transport.Internal)
	case "garbage":
		s.f.publishRaw(`{"\`)
	}
	return true
}

// A network is what a saboteur can break.
type network interface {
	cut()         // all connections
	down(on bool) // no other opens
}

func (s *switchboard) down(on bool) {
	if on {
		s.set(errNobody)
	} else {
		s.set(nil)
	}
}

var errNobody = &net.OpError{Op: "dial", Net: "tcp", Err: errRefused}

// refuse breaks all connections and lets none open for a while.
func (s *saboteur) refuse() {
	s.net.down(true)
	time.AfterFunc(s.outage, func() { s.net.down(false) })
	s.net.cut()
}

// sink makes all connections half-open. A new one for a stream is good; an
// exchange would take an old one, until the client has given one up.
func (s *saboteur) sink() {
	s.mu.Lock()
	s.sunk = true
	s.mu.Unlock()
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	for w := range s.f.live {
		s.lose(w)
	}
}

// lose makes w lose everything.
func (s *saboteur) lose(w *wire) {
	w.dead.Store(true)
	w.deaf.Store(true)
	context.AfterFunc(w.conn.Context(), func() {
		s.mu.Lock()
		s.sunk = false
		s.mu.Unlock()
	})
}

func (s *saboteur) isSunk() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sunk
}

// StepOf is the step of the protocol that a message on a channel is, as tables of
// faults name it, or empty.
func StepOf(ch string) string {
	switch ch {
	case bayeux.MetaHandshake, bayeux.MetaConnect, bayeux.MetaSubscribe:
		return ch[len("/meta/"):]
	case "/publish":
		return "publish"
	}
	return ""
}
