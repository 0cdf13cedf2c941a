package codec

import (
	"bytes"
	"encoding/json"
	"unsafe"

	"github.com/gocometd/cometd/bayeux"
)

// Detach makes messages of all Views, in memory of their own: they outlive
// Release and may be kept and changed. Up to sixteen neighbours share one
// block of memory, so that a kept message keeps at most some kilobytes beside
// its own.
func (b *Batch) Detach() []*bayeux.Message {
	d := detacher{names: &b.names, messages: len(b.Views)}
	for i := range b.Views {
		d.bytes += b.Views[i].size()
	}
	out := make([]*bayeux.Message, len(b.Views))
	for i := range b.Views {
		out[i] = d.message(&b.Views[i])
	}
	return out
}

// Detach makes a message of the View, in memory of its own: it outlives
// Release and may be kept and changed.
func (v *View) Detach() *bayeux.Message {
	d := detacher{messages: 1, bytes: v.size()}
	if v.batch != nil {
		d.names = &v.batch.names
	}
	return d.message(v)
}

// size is what the View's own fields need in a block.
func (v *View) size() int { return len(v.ID) + len(v.ClientID) + v.Data.Len() + v.Ext.Len() }

// A detacher copies the fields of messages into blocks.
type detacher struct {
	*names
	messages, bytes int // that are still to come
	slab            []bayeux.Message
	block           []byte
}

const (
	slabMessages = 16
	blockBytes   = 16 << 10
)

func (d *detacher) message(v *View) *bayeux.Message {
	if len(d.slab) == 0 {
		d.slab = make([]bayeux.Message, max(1, min(d.messages, slabMessages)))
	}
	m := &d.slab[0]
	d.slab = d.slab[1:]
	d.messages--

	m.Channel = d.intern(v.Channel)
	m.ID = d.text(v.ID)
	m.ClientID = d.text(v.ClientID)
	m.Data = d.copy(v.Data.b)
	m.Outcome = v.Outcome
	if v.Ext.b != nil {
		m.Ext = d.ext(v.Ext.b)
	}
	if v.more {
		d.rest(m, v.text)
	}
	return m
}

// copy returns a copy of b in the current block; nil of nil.
func (d *detacher) copy(b []byte) []byte {
	if b == nil {
		return nil
	}
	start := len(d.block)
	if cap(d.block)-start < len(b) {
		d.block = make([]byte, 0, max(len(b), min(d.bytes, blockBytes)))
		start = 0
	}
	d.bytes -= len(b)
	d.block = append(d.block, b...)
	return d.block[start:len(d.block):len(d.block)]
}

func (d *detacher) text(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(unsafe.SliceData(d.copy(b)), len(b)) // nobody else has that part of the block
}

func (d *detacher) ext(object []byte) bayeux.Ext {
	ext := make(bayeux.Ext)
	for key, value := range fields(object) {
		ext[d.intern(plain(key))] = d.copy(value)
	}
	return ext
}

// rest reads the fields that a View does not show from the message's text.
func (d *detacher) rest(m *bayeux.Message, object []byte) {
	for key, value := range fields(object) {
		key = plain(key)
		f := fieldOf(key)
		if f == fUnknown {
			d.extra(m, d.intern(key), value)
		}
		if f&fViewed != 0 || f == fUnknown || string(value) == "null" {
			continue
		}
		switch f {
		case fSubscription:
			m.Subscription = d.subscription(value)
		case fAdvice:
			if value[0] == '{' {
				m.Advice = d.advice(value)
			}
		case fError:
			m.Error = string(unquote(value))
		case fVersion:
			m.Version = d.name(value)
		case fMinimumVersion:
			m.MinimumVersion = d.name(value)
		case fConnectionTypes:
			m.SupportedConnectionTypes, _ = d.list(value)
		case fConnectionType:
			m.ConnectionType = d.name(value)
		case fTimestamp:
			if value[0] == '"' {
				m.Timestamp = string(unquote(value))
			}
		}
	}
}

func (d *detacher) extra(m *bayeux.Message, name string, value []byte) {
	if m.Extra == nil {
		m.Extra = make(map[string]json.RawMessage)
	}
	m.Extra[name] = d.copy(value)
}

// advice reads the object as docs/protocol.md §5 has it; what has the wrong
// type is absent.
func (d *detacher) advice(object []byte) *bayeux.Advice {
	a := new(bayeux.Advice)
	for key, value := range fields(object) {
		switch string(plain(key)) {
		case "reconnect":
			a.Reconnect = ""
			if value[0] == '"' {
				a.Reconnect = bayeux.Reconnect(d.name(value))
			}
		case "interval":
			a.Interval = bayeux.ParseSpan(value)
		case "timeout":
			a.Timeout = bayeux.ParseSpan(value)
		case "maxInterval":
			a.MaxInterval = bayeux.ParseSpan(value)
		case "multiple-clients":
			a.MultipleClients = string(value) == "true"
		case "hosts":
			a.Hosts, _ = d.list(value)
		}
	}
	return a
}

func (d *detacher) subscription(value []byte) bayeux.Subscription {
	if value[0] == '"' {
		return bayeux.Subscription{Channels: []string{d.name(value)}}
	}
	if list, ok := d.list(value); ok {
		return bayeux.Subscription{Channels: list, List: true}
	}
	return bayeux.Subscription{Invalid: d.copy(value)}
}

// list reads an array of strings, or reports that value is none.
func (d *detacher) list(value []byte) (list []string, ok bool) {
	if value[0] != '[' {
		return nil, false
	}
	n := 0
	for element := range elements(value) {
		if element[0] != '"' {
			return nil, false
		}
		n++
	}
	if n == 0 {
		return nil, true
	}
	list = make([]string, 0, n) // growing with 80,000 empty strings would cost five times as much
	for element := range elements(value) {
		list = append(list, d.name(element))
	}
	return list, true
}

// name reads a string that is likely to come again.
func (d *detacher) name(value []byte) string { return d.intern(unquote(value)) }

// unquote returns what a scanned string says.
func unquote(value []byte) []byte { return plain(value[1 : len(value)-1]) }

// plain undoes the escapes of a scanned string without its quotes; if there
// are none it is s itself.
func plain(s []byte) []byte {
	if bytes.IndexByte(s, '\\') < 0 {
		return s
	}
	s, _ = appendUnescaped(make([]byte, 0, len(s)), s)
	return s
}
