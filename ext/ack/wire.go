package ack

import (
	"encoding/json"
	"errors"

	"github.com/gocometd/cometd/bayeux"
)

// Channel is where the numbered form tells numbers: the server that of the next
// message, the client that of the last one it has. Both are the message's data.
const Channel = "/service/ack"

// What a handshake's ext offers: the extension itself, and the numbered form.
const (
	Name    = "ack"
	Numbers = "ack.numbers"
)

// An Answer is what a server says to the offer in the ext of its handshake
// reply. The zero Answer says that there is no acknowledgement.
type Answer struct {
	Enabled bool `json:"enabled"`

	// Batch is the number of the messages that came with the handshake reply
	// itself, 0 if none did.
	Batch uint64 `json:"batch,omitempty"`

	// Numbers chooses the numbered form. A client then acknowledges at least
	// whenever it has received Window bytes or Messages messages; zero is no
	// such bound.
	Numbers  bool `json:"numbers,omitempty"`
	Window   int  `json:"window,omitempty"`
	Messages int  `json:"messages,omitempty"`
}

// Offer adds the client's offer to the ext of a handshake.
func Offer(e *bayeux.Ext) error {
	return errors.Join(e.Set(Name, true), e.Set(Numbers, true))
}

// Offered reads what the ext of a handshake offers. As with the reference only
// a true counts.
func Offered(e bayeux.Ext) (enabled, numbers bool) {
	return string(e[Name]) == "true", string(e[Numbers]) == "true"
}

// ParseAnswer reads the ext of a handshake reply. Whatever it does not
// understand is no acknowledgement.
func ParseAnswer(e bayeux.Ext) (a Answer) {
	if string(e[Name]) == "true" {
		return Answer{Enabled: true}
	}
	if err := json.Unmarshal(e[Name], &a); err != nil || !a.Enabled {
		return Answer{}
	}
	return a
}

// Ext is the answer as it stands in the reply: true unless there is more to
// say.
func (a Answer) Ext() any {
	if a == (Answer{Enabled: true}) {
		return true
	}
	return a
}
