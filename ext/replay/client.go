package replay

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/transport"
)

// Config says where positions are kept and what to do without one.
type Config struct {
	// Store keeps the positions; nil is a Memory.
	Store Store

	// First is where a channel without a position begins: New, which is the
	// default, All, or an id.
	First ID

	// Expired is where a channel goes on whose position the server refuses
	// because it no longer has what comes after it: All, which is the default,
	// or New. Either way the subscription is told by a client.Gap.
	Expired ID

	// Of finds the id in a message's data, where that is elsewhere than
	// data.event.replayId.
	Of func(data json.RawMessage) (ID, bool)

	// Failed is told that a position could not be loaded or saved; nil: nobody
	// is. It must not block.
	Failed func(ch string, err error)
}

// Client makes the extension for one client; each needs its own. With a server
// that does not say that it can replay it does nothing.
func Client(c Config) client.Extension {
	x := &extension{Config: c, keys: map[string]*position{}, asked: map[string][]string{}}
	if x.Store == nil {
		x.Store = new(Memory)
	}
	x.First, x.Expired = cmp.Or(x.First, New), cmp.Or(x.Expired, All)
	if x.Of == nil {
		x.Of = IDOf
	}
	if x.Failed == nil {
		x.Failed = func(string, error) {}
	}
	return client.Extension{
		Name:     "replay",
		Requests: []string{bayeux.MetaHandshake, bayeux.MetaSubscribe},
		Opened:   func(c *client.Client) { x.client = c },
		Outgoing: x.outgoing,
		Incoming: x.incoming,
		Done:     x.done,
		Recovers: x.recovers,
	}
}

// Salesforce is the preset for Salesforce's Streaming API: replay with positions
// in s, new events where there is none, all that is retained where one has
// expired; and a new session where the server says "none" because a token has
// expired. Bring longpoll and a token:
//
//	client.New("https://acme.my.salesforce.com/cometd/62.0",
//		client.WithTransports(longpoll.NewDialer()), client.WithTokenSource(token), replay.Salesforce(s))
func Salesforce(s Store) client.Option {
	return client.Options(client.WithExtension(Client(Config{Store: s})), client.WithRehandshakeOnNone())
}

type extension struct {
	Config
	client *client.Client

	mu    sync.Mutex
	on    bool                 // the server can replay
	keys  map[string]*position // by channel as subscribed to, without a filter
	asked map[string][]string  // keys of the subscribes under way, by message id
}

// A position is where a channel is in this run of the program.
type position struct {
	received ID   // the last message that came; 0: none yet
	known    bool // a new session goes on where this one ends
	refused  bool // the server no longer has what comes after it
}

func (x *extension) outgoing(ctx context.Context, m *bayeux.Message) error {
	if m.Channel == bayeux.MetaHandshake {
		return m.Ext.Set(Name, true)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.on {
		return nil
	}
	positions := map[string]ID{}
	if ok, err := m.Ext.Decode(Name, &positions); ok && err == nil && len(positions) > 0 {
		return nil // the program knows better
	}
	var keys []string
	for _, ch := range m.Subscription.Channels {
		key := string(bayeux.Channel(ch).WithoutFilter())
		positions[key] = x.position(ctx, key)
		keys = append(keys, key)
	}
	x.asked[m.ID] = keys
	return m.Ext.Set(Name, positions)
}

// position is where key goes on. What was received and waits to be handled is
// not asked for again.
func (x *extension) position(ctx context.Context, key string) ID {
	p := x.keys[key]
	if p == nil {
		p = &position{}
		x.keys[key] = p
	}
	switch {
	case p.refused:
		return x.Expired
	case p.received > 0:
		return p.received
	}
	id, found, err := x.Store.Load(ctx, key)
	if err != nil {
		x.Failed(key, err)
	}
	if !found || err != nil {
		p.known = x.First != New
		return x.First
	}
	p.known = true
	return id
}

func (x *extension) incoming(_ context.Context, m *bayeux.Message) error {
	switch {
	case m.Channel == bayeux.MetaHandshake:
		var on bool
		_, err := m.Ext.Decode(Name, &on)
		x.mu.Lock()
		x.on = on && err == nil && m.Outcome == bayeux.Succeeded
		x.mu.Unlock()
	case m.Channel == bayeux.MetaSubscribe:
		x.subscribed(m)
	case m.Data != nil && bayeux.Channel(m.Channel).Kind() == bayeux.Broadcast:
		x.event(m)
	}
	return nil
}

// event notes the id of an event, and takes off the envelope.
func (x *extension) event(m *bayeux.Message) {
	id, ok := x.Of(m.Data)
	if !ok {
		return
	}
	_ = m.Ext.Set(Name, id) // for done, which gets the message as it is now
	var inside map[string]json.RawMessage
	if strings.Contains(string(m.Data), `"`+Envelope+`"`) && json.Unmarshal(m.Data, &inside) == nil && len(inside) == 2 && inside[Envelope] != nil {
		m.Data = inside[Envelope]
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for key, p := range x.keys {
		if bayeux.Channel(key).Match(m.Channel) {
			p.received, p.known, p.refused = id, true, false
		}
	}
}

// subscribed reads the reply to a subscribe. One that was refused for its
// position is asked for again, with another.
func (x *extension) subscribed(m *bayeux.Message) {
	x.mu.Lock()
	keys := x.asked[m.ID]
	delete(x.asked, m.ID)
	expired := m.Outcome == bayeux.Failed && positionRefused(m)
	var told []string
	for _, key := range keys {
		if p := x.keys[key]; expired && !p.refused {
			p.refused = true
			told = append(told, key)
		}
	}
	x.mu.Unlock()
	if len(told) == 0 {
		return
	}
	m.Advice = &bayeux.Advice{Reconnect: bayeux.Retry} // to this client: ask again
	now := time.Now()
	for _, key := range told {
		x.client.ReportGap(client.Gap{Channel: key, From: now, To: now, Reason: transport.Expired})
	}
}

func positionRefused(m *bayeux.Message) bool {
	e := bayeux.ParseError(m.Channel, m.Error)
	return e.Code == 400 && strings.Contains(strings.ToLower(m.Error), "replayid")
}

// done stores the position of a message that was handled.
func (x *extension) done(ch string, m *bayeux.Message) {
	var id ID
	if ok, err := m.Ext.Decode(Name, &id); !ok || err != nil {
		return
	}
	if err := x.Store.Save(context.Background(), ch, id); err != nil {
		x.Failed(ch, err)
	}
}

// recovers says that a lost session is no gap where a position is known.
func (x *extension) recovers(ch string, newSession bool) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.keys[ch]
	return newSession && x.on && p != nil && p.known
}
