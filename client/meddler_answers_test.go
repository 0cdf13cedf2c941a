//go:build !js

package client_test

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

func (c *meddled) Receive() (io.Reader, error) {
	if c.once() {
		select {
		case err := <-c.sent:
			if err != nil {
				return nil, err
			}
		case <-c.ctx.Done():
			return nil, transport.ErrClosed
		}
		c.sent <- nil // for who asks again
	}
	c.pump.Do(func() { c.d.late.Go(c.receive) })
	for {
		var r received
		select {
		case r = <-c.in:
		case <-c.ctx.Done():
			return nil, transport.ErrClosed
		}
		if c.deaf.Load() {
			continue
		}
		if r.err != nil {
			c.cancel()
			return nil, r.err
		}
		payload, err := c.spoilAnswer(r.payload)
		if err != nil {
			c.Close(transport.Internal)
			return nil, err
		}
		if c.deaf.Load() {
			continue
		}
		if c.once() {
			c.d.answeredOne()
		}
		return bytes.NewReader(payload), nil
	}
}

// receive reads what comes until the Conn ends.
func (c *meddled) receive() {
	for {
		var r received
		in, err := c.Conn.Receive()
		if err == nil {
			r.payload, err = io.ReadAll(in)
		}
		r.err = err
		select {
		case c.in <- r:
		case <-c.ctx.Done(): // whatever comes is lost
		}
		if err != nil {
			return
		}
	}
}

// spoilAnswer does to what the server sent what a fault says, if it is time.
func (c *meddled) spoilAnswer(payload []byte) ([]byte, error) {
	var ms []map[string]json.RawMessage
	if json.Unmarshal(payload, &ms) != nil {
		return payload, nil // our own
	}
	s := c.reply.Load()
	for i, m := range ms {
		switch {
		case s != nil && string(m["id"]) == `"`+s.id+`"` && m["successful"] != nil:
			c.reply.Store(nil)
			if s.fault == "reset after" {
				c.d.cut()
				return nil, transport.ErrClosed
			}
			ms[i]["advice"] = []byte(`{"reconnect":"bogus","interval":"soon","timeout":-7,"hosts":{}}`)
			return json.Marshal(ms)
		case slices.Contains([]string{`"/a"`, `"/b/x"`, `"/c/x/y"`, `"/d"`}, string(m["channel"])):
			if fault := c.d.strikes("deliver"); fault != "" {
				return c.deliver(payload, ms, i, fault)
			}
		}
	}
	return payload, nil
}

// deliver spoils a payload with an event. Refused and reset before are as with a
// request: it is lost, too; the others:
//
//	reset after   all connections break when it has come
//	hangs         it is lost, and what comes after it on this connection
//	half-open     and what the client sends, too
//	slow          it is late, and what comes after it
//	duplicated    what the client sends next arrives twice
//	overtaken     it comes after the next answer; a stream breaks, and its server
//	              does not know
//	wrong advice  the event carries the advice to stop
//	402           the server ends the session
//	500           it is lost with an internal error of the server
//	garbage       no JSON comes in its place
func (c *meddled) deliver(payload []byte, ms []map[string]json.RawMessage, i int, fault string) ([]byte, error) {
	switch fault {
	case "refused":
		c.d.refuse()
		return nil, transport.ErrClosed
	case "reset before":
		c.d.cut()
		return nil, transport.ErrClosed
	case "reset after":
		c.d.late.Go(func() {
			time.Sleep(time.Millisecond)
			c.d.cut()
		})
	case "hangs":
		c.deaf.Store(true)
	case "half-open":
		c.d.sink()
	case "slow":
		time.Sleep(slow)
	case "duplicated":
		c.twice.Store(true)
	case "overtaken":
		if !c.once() {
			c.leave(func() {})
			return nil, transport.ErrClosed
		}
		select {
		case <-c.d.next():
		case <-time.After(away):
		}
	case "wrong advice":
		ms[i]["advice"] = []byte(`{"reconnect":"none"}`)
		return json.Marshal(ms)
	case "402":
		c.d.expire()
	case "500":
		e := &transport.Error{Type: c.Peer().Type, Op: "receive", Reason: transport.Internal}
		if c.once() {
			e.Type, e.Status = bayeux.LongPolling, 500
		}
		return nil, e
	case "garbage":
		return []byte(`[{"\]`), nil
	}
	return payload, nil
}
