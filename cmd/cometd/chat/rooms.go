package chat

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

// What is kept is bounded: whoever may publish may fill it, and no more.
const (
	maxRooms   = 200 // beyond, the room that was longest silent and is empty goes
	maxListed  = 200 // people and rooms in one announcement
	roomsEach  = 20  // that one session is in
	maxPeople  = 1000
	nameRunes  = 32
	pauseRoom  = 50 * time.Millisecond // changes this close together are announced once
	joinPath   = "/service/chat"
	roomPath   = "/chat/"
	listPath   = "/presence"
	peoplePath = "/presence/"
)

// Rooms knows who is in which room and what was said there last. All of it is
// in memory: it begins empty, and pages that reconnect fill it again.
type Rooms struct {
	srv     *server.Server
	changed chan struct{} // something waits to be announced

	mu      sync.Mutex
	rooms   map[string]*room
	dirty   map[string]bool
	current int64 // counts uses of rooms, to find the one longest silent
}

type room struct {
	people  map[string]Person // by session
	total   int               // of people, when they were announced last
	history history
	used    int64
}

// A Person is somebody in a room, as the others see them. ID is the page's own
// and outlives its sessions.
type Person struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Transport string `json:"transport"`
}

// A join is what a page asks for at /service/chat: to be in the room under this
// name. Asking again changes the name, or tells of another transport.
type join struct {
	Room string `json:"room"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

type joined struct {
	History []entry `json:"history"`
}

// Open takes the channels of the package comment on srv, whose people and
// messages the rooms then know. Run has to run for them to be announced.
func Open(srv *server.Server) *Rooms {
	r := &Rooms{
		srv:     srv,
		changed: make(chan struct{}, 1),
		rooms:   map[string]*room{},
		dirty:   map[string]bool{},
	}
	srv.HandleService(joinPath, server.Typed(r.join))
	srv.Handle(roomPath+"*", r.record)
	srv.Authorize(listPath, onlyServer)
	srv.Authorize(listPath+"/**", onlyServer)
	return r
}

// onlyServer keeps clients from announcing people who are not there.
func onlyServer(_ context.Context, _ *server.Session, op server.Op, _ string) (server.Decision, string) {
	if op == server.OpPublish {
		return server.Refuse, "presence_is_announced_by_the_server"
	}
	return server.Grant, ""
}

// Run announces who comes and goes, until ctx ends.
func (r *Rooms) Run(ctx context.Context) {
	var g sync.WaitGroup
	g.Go(func() { r.announce(ctx) })
	for ev := range r.srv.Events(ctx) {
		switch ev := ev.(type) {
		case server.SessionRemoved:
			r.leave(ev.Session.ID())
		case server.Unsubscribed:
			r.leave(ev.Session.ID(), ev.Channels...)
		case server.EventsLost:
			r.sweep()
		}
	}
	g.Wait()
}

func (r *Rooms) join(ctx context.Context, s *server.Session, j join) (joined, error) {
	name := tidyName(j.Name)
	switch {
	case !isRoomName(j.Room):
		return joined{}, bayeux.Errorf(400, "room_invalid")
	case name == "" || len(j.ID) > 2*nameRunes:
		return joined{}, bayeux.Errorf(400, "name_invalid")
	}
	if err := r.enter(j.Room, s.ID(), Person{j.ID, name, server.PeerOf(ctx).Type}); err != nil {
		return joined{}, err
	}
	if r.srv.Session(s.ID()) == nil { // its removal may have been announced already
		r.leave(s.ID())
	}
	return joined{r.lastOf(j.Room)}, nil
}

// enter puts p into the room, unless the session is in too many or there are too
// many in it.
func (r *Rooms) enter(name, session string, p Person) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := 0
	for other, rm := range r.rooms {
		if _, ok := rm.people[session]; ok && other != name {
			in++
		}
	}
	if in >= roomsEach {
		return bayeux.Errorf(429, "too_many_rooms")
	}
	rm := r.room(name)
	if rm == nil {
		return bayeux.Errorf(429, "too_many_rooms")
	}
	if _, known := rm.people[session]; !known && len(rm.people) >= maxPeople {
		return bayeux.Errorf(429, "room_full")
	}
	rm.people[session] = p
	r.change(name)
	return nil
}

// leave takes the session out of the rooms of the given channels, or of all.
func (r *Rooms) leave(session string, channels ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, rm := range r.rooms {
		_, in := rm.people[session]
		if in && (len(channels) == 0 || slices.Contains(channels, roomPath+name)) {
			delete(rm.people, session)
			r.change(name)
		}
	}
}

// sweep looks for sessions that are gone, after events were lost.
func (r *Rooms) sweep() {
	r.mu.Lock()
	gone := map[string]bool{}
	for _, rm := range r.rooms {
		for id := range rm.people {
			gone[id] = r.srv.Session(id) == nil
		}
	}
	r.mu.Unlock()
	for id, isGone := range gone {
		if isGone {
			r.leave(id)
		}
	}
}

// room returns the room of that name, new if need be, or nil if there are too
// many and in each is somebody. The caller holds mu.
func (r *Rooms) room(name string) *room {
	r.current++
	rm := r.rooms[name]
	if rm == nil {
		if len(r.rooms) >= maxRooms && !r.forgetOne() {
			return nil
		}
		rm = &room{people: map[string]Person{}}
		r.rooms[name] = rm
	}
	rm.used = r.current
	return rm
}

func (r *Rooms) forgetOne() bool {
	oldest := ""
	for name, rm := range r.rooms {
		if len(rm.people) == 0 && (oldest == "" || rm.used < r.rooms[oldest].used) {
			oldest = name
		}
	}
	delete(r.rooms, oldest)
	return oldest != ""
}

func (r *Rooms) change(name string) {
	r.dirty[name] = true
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *Rooms) announce(ctx context.Context) {
	for {
		select {
		case <-r.changed:
		case <-ctx.Done():
			return
		}
		for name, people := range r.changes() {
			r.publish(ctx, peoplePath+name, people)
		}
		r.publish(ctx, listPath, directory{r.list()})
		select {
		case <-time.After(pauseRoom):
		case <-ctx.Done():
			return
		}
	}
}

func (r *Rooms) publish(ctx context.Context, ch string, data any) {
	// Fails only once the server is closed, and then nobody listens.
	_ = r.srv.Publish(ctx, ch, data)
}

// A directory is an announcement: the rooms that somebody is in. It is an object, so
// that it stays what it is in a history.
type directory struct {
	Rooms []listing `json:"rooms"`
}

// present is an announcement: some of the people in a room, and how many in all.
type present struct {
	People []Person `json:"people"`
	Total  int      `json:"total"`
}

func (r *Rooms) changes() map[string]present {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]present, len(r.dirty))
	for name := range r.dirty {
		if rm := r.rooms[name]; rm != nil {
			now := rm.present()
			all[name], rm.total = now, now.Total
		}
	}
	clear(r.dirty)
	return all
}

func (rm *room) present() present {
	byID := make(map[string]Person, len(rm.people))
	for _, p := range rm.people { // a page that came back may have two sessions for a moment
		byID[p.ID] = p
	}
	people := slices.SortedFunc(maps.Values(byID), func(a, b Person) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return present{people[:min(len(people), maxListed)], len(people)}
}

// A listing is a room that somebody is in.
type listing struct {
	Name   string `json:"name"`
	People int    `json:"people"`
}

func (r *Rooms) list() []listing {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := []listing{}
	for name, rm := range r.rooms {
		if rm.total > 0 {
			all = append(all, listing{name, rm.total})
		}
	}
	slices.SortFunc(all, func(a, b listing) int {
		return cmp.Or(cmp.Compare(b.People, a.People), cmp.Compare(a.Name, b.Name))
	})
	return all[:min(len(all), maxListed)]
}
