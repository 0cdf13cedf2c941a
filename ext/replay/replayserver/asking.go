package replayserver

import (
	"encoding/json"
	"strings"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/replay"
)

// An asking is what a subscribe says of its channels. Clients may send the
// positions of all their channels, and ids as strings (docs/protocol.md §17).
type asking struct {
	positions written[json.RawMessage]
	numbers   written[int64]
}

func parseAsking(m *bayeux.Message) *asking {
	a := new(asking)
	if ok, err := m.Ext.Decode(replay.Name, &a.positions.as); !ok || err != nil {
		a.positions.as = nil // not a map: not a position
	}
	_, _ = m.Ext.Decode(replay.Marks, &a.numbers.as) // what is no map numbers nothing
	return a
}

// position is where ch is to begin, if the client says so.
func (a *asking) position(ch string) (id replay.ID, ok bool, err error) {
	v, ok := a.positions.under(ch)
	if !ok {
		return 0, false, nil
	}
	id, ok = replay.ParseID(v)
	if !ok || id < replay.All {
		return 0, false, invalid(strings.Trim(string(v[:min(len(v), 32)]), `"`))
	}
	return id, true, nil
}

// number is what the client has given ch, or 0.
func (a *asking) number(ch string) int64 {
	n, _ := a.numbers.under(ch)
	return n
}

// written is what a client has for channels, which it may have written with a slash
// at their end.
type written[V any] struct {
	as    map[string]V
	meant map[string]V // by the channels that are meant; nil: nobody has missed one yet
}

func (w *written[V]) under(ch string) (v V, ok bool) {
	if v, ok := w.as[ch]; ok {
		return v, true
	}
	if w.meant == nil {
		w.meant = make(map[string]V)
		for name, v := range w.as {
			if c, err := bayeux.ParsePattern(name); err == nil {
				w.meant[string(c)] = v
			}
		}
	}
	v, ok = w.meant[ch]
	return v, ok
}
