package chat

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

const (
	historyMessages = 50
	historyBytes    = 64 << 10 // of a room; a message larger than a quarter of it is not kept
)

// A history is the last messages of a room, oldest first.
type history struct {
	entries []entry
	bytes   int
}

// An entry is a message that was published to a room: its data as it was sent,
// and when the server took it, in milliseconds since 1970.
type entry struct {
	At   int64           `json:"at"`
	Data json.RawMessage `json:"data"`
}

func (h *history) add(e entry) {
	if len(e.Data) > historyBytes/4 {
		return
	}
	h.entries = append(h.entries, e)
	h.bytes += len(e.Data)
	for len(h.entries) > historyMessages || h.bytes > historyBytes {
		h.bytes -= len(h.entries[0].Data)
		h.entries[0] = entry{}
		h.entries = h.entries[1:]
	}
}

// record keeps what is published to a room. It refuses
// nothing: to the server, /chat/ROOM is a channel like any other.
func (r *Rooms) record(_ context.Context, _ *server.Session, m *bayeux.Message) error {
	name := strings.TrimPrefix(m.Channel, roomPath)
	if !isRoomName(name) || len(m.Data) == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if rm := r.room(name); rm != nil {
		rm.history.add(entry{time.Now().UnixMilli(), slices.Clone(m.Data)}) // m.Data shares its memory with the rest of m
	}
	return nil
}

func (r *Rooms) lastOf(name string) []entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rm := r.rooms[name]; rm != nil {
		return append([]entry{}, rm.history.entries...)
	}
	return []entry{}
}

// isRoomName holds for names that are a channel's segment, and look the same to
// all who read them.
func isRoomName(s string) bool {
	if s == "" || len(s) > nameRunes {
		return false
	}
	return strings.IndexFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'
	}) < 0
}

// tidyName is a person's name without what would break a line, and not too long.
func tidyName(s string) string {
	s = strings.Map(func(c rune) rune {
		if !unicode.IsGraphic(c) {
			return -1
		}
		return c
	}, s)
	name := []rune(strings.Join(strings.Fields(s), " "))
	return string(name[:min(len(name), nameRunes)])
}
