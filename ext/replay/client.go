package replay

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/internal/lock"
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
	// is. It runs where messages are sent or handled and must not block: what
	// waits for a reply, such as Unsubscribe, belongs on a goroutine.
	Failed func(ch string, err error)
}

// Client makes the extension for one client; each needs its own, and a second
// one panics. With a server that does not say that it can replay it does
// nothing.
//
// A message that has come has its id in the "replay" field of its Ext, also
// where its data is not an object.
func Client(c Config) client.Extension { return newExtension(c).functions() }

func newExtension(c Config) *extension {
	x := &extension{Config: c, session: &session{began: true}, keys: map[string]*position{}, numbers: map[int64]string{}}
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
	return x
}

func (x *extension) functions() client.Extension {
	return client.Extension{
		Name:         "replay",
		Requests:     []string{bayeux.MetaHandshake, bayeux.MetaConnect, bayeux.MetaSubscribe},
		Opened:       x.opened,
		Session:      x.begins,
		Outgoing:     x.outgoing,
		Incoming:     x.incoming,
		Selects:      x.selects,
		Done:         x.done,
		Unsubscribed: x.unsubscribed,
		Recovers:     x.recovers,
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

	mu      lock.Mutex[lock.Replay] // never held while Config's functions run
	session *session                // the one that the last handshake or connect was about
	other   *session                // while it is open which of the two goes on
	keys    map[string]*position    // by channel as subscribed to, without a filter
	numbers map[int64]string        // the key that has asked under a number
	last    int64                   // the last number that was given

	event  *bayeux.Message // the one that is being delivered
	wanted []string        // keys that get it
}

// A session is what one server can, and was asked for. One that was made while the
// connection of another was broken may come to nothing: the other one then goes on.
type session struct {
	id    string
	began bool              // it has taken the place of the one before
	on    bool              // the server can replay
	marks bool              // it says for whom the past is
	asked map[string]asking // the subscribes under way, by message id
}

// asking is what one subscribe asks for.
type asking struct {
	keys []string
	own  bool // at positions of the program's own, or some of them
}

// A position is where a channel is in this run of the program.
type position struct {
	first    ID        // the first message that ever came; 0: none yet
	received ID        // the last one that came and was not given up
	heard    time.Time // when that was; zero: never
	known    bool      // a new session goes on where this one ends
	refused  bool      // the server no longer has what comes after it

	in     *session // that it was last asked for in; nil: none
	stage  stage    // there
	asked  ID       // there
	number int64    // of this asking; 0: none
}

// begun reports whether this run has got so far by itself that no store is asked.
func (p *position) begun() bool { return p.received > 0 || p.refused }

// A stage is how far a subscription is that a session has asked for.
type stage int

const (
	unasked stage = iota
	past          // what is published waits for what was before it, and comes with that
	live
)

func (x *extension) opened(c *client.Client) {
	if x.client != nil {
		panic("replay: one extension for two clients: call Client for each")
	}
	x.client = c
}

func (x *extension) incoming(_ context.Context, m *bayeux.Message) error {
	switch {
	case m.Channel == bayeux.MetaHandshake:
		x.shaken(m)
	case m.Channel == bayeux.MetaSubscribe:
		x.subscribed(m)
	case m.Channel == Channel:
		return x.mark(m)
	case (m.Data != nil || m.Outcome == bayeux.NoOutcome) && bayeux.Channel(m.Channel).Kind() == bayeux.Broadcast:
		return x.receive(m)
	}
	return nil
}

// shaken notes a session that was made, which has nothing of what was asked for
// before.
func (x *extension) shaken(m *bayeux.Message) {
	if m.Outcome != bayeux.Succeeded {
		return
	}
	s := &session{id: m.ClientID, asked: map[string]asking{}}
	s.on = string(m.Ext[Name]) == "true"
	s.marks = s.on && string(m.Ext[Marks]) == "true"
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.session.began {
		x.other = x.session
	}
	x.session = s
}

// begins is told which session goes on, and that no other one will.
func (x *extension) begins(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.goOn(id)
	x.session.began, x.other = true, nil
}

// goOn makes the session of that id the one at hand.
func (x *extension) goOn(id string) {
	if x.session.id != id && x.other != nil && x.other.id == id {
		x.session, x.other = x.other, x.session
	}
}

// stageOf is how far p is in the session at hand.
func (x *extension) stageOf(p *position) stage {
	if p.in != x.session {
		return unasked
	}
	return p.stage
}

// goesOn reports whether p is asked for where it is, whatever the program says: the
// session takes it over from an earlier one, wherever that has begun, or the subscribe
// is sent again, because its reply was lost, to a server that would repeat what it
// has sent. (One with marks has the subscription, or has sent nothing.)
func (x *extension) goesOn(p *position, again bool) bool {
	return p.begun() && (x.stageOf(p) == unasked || again && !x.session.marks)
}

// subscribed reads the reply to a subscribe. One that was refused for its
// position is asked for again, with another.
func (x *extension) subscribed(m *bayeux.Message) {
	x.mu.Lock()
	asked := x.session.asked[m.ID]
	delete(x.session.asked, m.ID)
	expired := positionRefused(m) && !asked.own
	var told []client.Gap
	now := time.Now()
	named := x.namedBy(m.Error, asked.keys)
	if slices.ContainsFunc(asked.keys, func(key string) bool { p := x.keys[key]; return p != nil && p.refused }) {
		named = nil // a second one: the others are likely to be as old, and each refusal costs a pause
	}
	for _, key := range asked.keys {
		p := x.keys[key]
		if p == nil || m.Outcome != bayeux.Failed {
			continue
		}
		if p.stage = unasked; expired && !p.refused && (len(named) == 0 || slices.Contains(named, key)) {
			p.refused = true
			p.received = 0 // ids may begin anew
			told = append(told, client.Gap{Channel: key, From: p.heard, To: now, Reason: transport.Expired})
		}
	}
	x.mu.Unlock()
	if len(told) == 0 {
		return
	}
	m.Advice = &bayeux.Advice{Reconnect: bayeux.Retry} // to this client: ask again
	for _, g := range told {
		x.client.ReportGap(g)
	}
}

// namedBy are the keys whose position an error names, as in "The replayId {5} you
// provided was invalid": the others of a subscribe that was refused whole may go on
// where they are.
func (x *extension) namedBy(text string, keys []string) (named []string) {
	for _, key := range keys {
		if p := x.keys[key]; p != nil && strings.Contains(text, fmt.Sprintf("{%d}", p.asked)) {
			named = append(named, key)
		}
	}
	return named
}

func positionRefused(m *bayeux.Message) bool {
	e := bayeux.ParseError(m.Channel, m.Error)
	return e.Code == 400 && strings.Contains(strings.ToLower(m.Error), "replayid")
}

// unsubscribed forgets what had been received: what of it was not handled is
// given up, and who subscribes again goes on after what is stored. Of a channel on
// which nothing ever came nothing is remembered: programs may subscribe to very many.
func (x *extension) unsubscribed(key string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p := x.keys[key]; p != nil {
		delete(x.numbers, p.number)
		if *p = (position{first: p.first, heard: p.heard, refused: p.refused}); *p == (position{}) {
			delete(x.keys, key)
		}
	}
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

// recovers says that a lost session is no gap where a position is known. After
// another break the end of the past may be lost, and is not waited for.
func (x *extension) recovers(ch string, newSession bool) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.keys[ch]
	if p == nil {
		return false
	}
	if !newSession && p.stage == past {
		p.stage = live
	}
	known := p.known
	if p.refused { // nothing has come since
		known = x.Expired != New
	}
	return newSession && x.session.on && known
}
