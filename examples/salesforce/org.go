package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gocometd/cometd/bayeux"
)

// An org is a small stand-in for Salesforce's Streaming API: what it answers is
// what docs/protocol.md §17 says of the real one, moods included. Events of
// every channel have ids of one count, and all are retained until Trim.
type org struct {
	hold time.Duration // of a connect; the real one's is 110 seconds

	mu       sync.Mutex
	token    string // that is valid
	status   int    // answered to the next request instead, if not 0
	sessions map[string]*session
	made     int
	events   []event
	oldest   int64         // id of the oldest retained event
	added    chan struct{} // closed when a held connect may have to be answered
	asked    map[string]int
}

type event struct {
	id   int64
	ch   string
	text json.RawMessage
}

type session struct {
	cookie string // of the node that has it
	after  map[string]int64
	held   bool // a connect was answered
}

func newOrg(token string) *org {
	return &org{
		hold: 110 * time.Second, token: token, sessions: map[string]*session{}, oldest: 1,
		added: make(chan struct{}), asked: map[string]int{},
	}
}

// publish adds an event as Salesforce wraps it.
func (o *org) publish(ch string, payload any) {
	text, err := json.Marshal(payload)
	if err != nil {
		panic(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	id := int64(1)
	if n := len(o.events); n > 0 {
		id = o.events[n-1].id + 3 // ids have gaps
	}
	text = fmt.Appendf(nil, `{"schema":"1","payload":%s,"event":{"replayId":%d,"createdDate":"2026-11-21T12:00:00Z"}}`, text, id)
	o.events = append(o.events, event{id, ch, text})
	o.wake()
}

// trim forgets all events: their retention is over.
func (o *org) trim() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.oldest = o.events[len(o.events)-1].id + 1
}

// expireToken makes another token the valid one.
func (o *org) expireToken(next string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.token = next
	o.wake()
}

// forget loses all sessions, as every few hours.
func (o *org) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.sessions)
	o.wake()
}

// fail answers one request with an HTTP status.
func (o *org) fail(status int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.status = status
}

func (o *org) count(ch string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked[ch]
}

func (o *org) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var requests, replies []*bayeux.Message
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 32768)).Decode(&requests); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	status := o.status
	o.status = 0
	o.mu.Unlock()
	if status != 0 {
		http.Error(w, "the org is not there just now", status)
		return
	}
	for _, m := range requests {
		replies = append(replies, o.answer(w, r, m)...)
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	json.NewEncoder(w).Encode(replies)
}

// answer is what a request is answered with, events in front.
func (o *org) answer(w http.ResponseWriter, r *http.Request, m *bayeux.Message) []*bayeux.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked[m.Channel]++
	reply := &bayeux.Message{Channel: m.Channel, ID: m.ID, ClientID: m.ClientID, Outcome: bayeux.Succeeded, Subscription: m.Subscription}
	authorized := r.Header.Get("Authorization") == "Bearer "+o.token
	if m.Channel == bayeux.MetaHandshake {
		o.handshake(w, reply, authorized)
		return []*bayeux.Message{reply}
	}
	s := o.sessions[m.ClientID]
	cookie, err := r.Cookie("sfdc-stream")
	switch {
	case !authorized:
		refuse(reply, "401::Authentication invalid", bayeux.NoReconnect)
	case s == nil, err != nil, cookie.Value != s.cookie:
		refuse(reply, "403::Unknown client", bayeux.HandshakeAgain)
	case m.Channel == bayeux.MetaConnect:
		return o.connect(r, m, reply)
	case m.Channel == bayeux.MetaSubscribe:
		o.subscribe(s, m, reply)
	case m.Channel == bayeux.MetaDisconnect:
		delete(o.sessions, m.ClientID)
	}
	return []*bayeux.Message{reply}
}

func refuse(reply *bayeux.Message, text string, then bayeux.Reconnect) {
	reply.Outcome, reply.Error = bayeux.Failed, text
	reply.Advice = &bayeux.Advice{Reconnect: then, Interval: bayeux.SpanOf(0)}
}

// handshake says why not in ext, and gives no advice if it does.
func (o *org) handshake(w http.ResponseWriter, reply *bayeux.Message, authorized bool) {
	if !authorized {
		refuse(reply, "403::Handshake denied", bayeux.NoReconnect)
		reply.Ext = bayeux.Ext{"sfdc": json.RawMessage(`{"failureReason":"401::Authentication invalid"}`)}
		return
	}
	o.made++
	reply.ClientID = "client" + strconv.Itoa(o.made)
	reply.Version, reply.MinimumVersion = bayeux.Version, bayeux.Version
	reply.SupportedConnectionTypes = []string{bayeux.LongPolling}
	reply.Ext = bayeux.Ext{"replay": json.RawMessage("true"), "payload.format": json.RawMessage("true")}
	s := &session{cookie: "!4/aB+" + strconv.Itoa(o.made) + "|x==", after: map[string]int64{}}
	o.sessions[reply.ClientID] = s
	w.Header().Add("Set-Cookie", "sfdc-stream="+s.cookie+"; Path=/; HttpOnly")
	w.Header().Add("Set-Cookie", "BAYEUX_BROWSER=b7; Path=/; HttpOnly")
}

// subscribe reads where to begin from ext.replay.
func (o *org) subscribe(s *session, m, reply *bayeux.Message) {
	var from map[string]int64
	if _, err := m.Ext.Decode("replay", &from); err != nil {
		refuse(reply, "400::The replay extension is malformed", "")
		return
	}
	for _, ch := range m.Subscription.Channels {
		key := string(bayeux.Channel(ch).WithoutFilter())
		at, ok := from[key]
		switch {
		case !ok || at == -1:
			at = 0
			if n := len(o.events); n > 0 {
				at = o.events[n-1].id
			}
		case at == -2:
			at = o.oldest - 1
		case at < o.oldest-3:
			text := "400::The replayId {" + strconv.FormatInt(at, 10) + "} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events."
			refuse(reply, text, "")
			return
		}
		s.after[key] = at
	}
	o.wake()
}

// wake lets held connects look again. o.mu is held.
func (o *org) wake() {
	close(o.added)
	o.added = make(chan struct{})
}

// connect holds until there are events, or the session or its credential ends.
// o.mu is held, but not meanwhile.
func (o *org) connect(r *http.Request, m, reply *bayeux.Message) []*bayeux.Message {
	timer := time.NewTimer(o.hold)
	defer timer.Stop()
	first := true
	for {
		s := o.sessions[m.ClientID]
		if s == nil {
			refuse(reply, "403::Unknown client", bayeux.HandshakeAgain)
			return []*bayeux.Message{reply}
		}
		if first && !s.held {
			s.held = true
			reply.Advice = &bayeux.Advice{Reconnect: bayeux.Retry, Interval: bayeux.SpanOf(0), Timeout: bayeux.SpanOf(o.hold)}
			return []*bayeux.Message{reply}
		}
		if events := o.due(s); len(events) > 0 {
			return append(events, reply)
		}
		if m.Advice != nil && m.Advice.Timeout.Or(1) == 0 {
			return []*bayeux.Message{reply}
		}
		first = false
		added := o.added
		o.mu.Unlock()
		var over bool
		select {
		case <-added:
		case <-timer.C:
			over = true
		case <-r.Context().Done():
			over = true
		}
		o.mu.Lock()
		if over {
			return []*bayeux.Message{reply}
		}
		if r.Header.Get("Authorization") != "Bearer "+o.token {
			refuse(reply, "401::Authentication invalid", bayeux.NoReconnect)
			return []*bayeux.Message{reply}
		}
	}
}

// due takes the events that s has not had.
func (o *org) due(s *session) (ms []*bayeux.Message) {
	for _, e := range o.events {
		at, wants := s.after[e.ch]
		if wants && e.id > at && e.id >= o.oldest {
			s.after[e.ch] = e.id
			ms = append(ms, &bayeux.Message{Channel: e.ch, Data: e.text})
		}
	}
	return ms
}
