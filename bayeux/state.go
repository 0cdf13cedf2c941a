package bayeux

import (
	"fmt"
	"strconv"
)

// A State is where a client stands with its server (docs/protocol.md §6). The
// zero value is the start. A client is connected in state Connected only.
type State int8

const (
	Disconnected  State = iota // no session; a handshake is due
	Handshaking                // a handshake is under way
	Connecting                 // a session, not yet a connect reply
	Connected                  // the last connect was answered
	Unconnected                // the session's connection broke; it is being restored
	Disconnecting              // a disconnect is under way
	Stopped                    // ended, by either side; only a new handshake leaves it
)

// An Event is something that moves a client to another [State].
type Event int8

const (
	HandshakeSent  Event = iota // also again, to replace a session
	HandshakeOK                 // a successful handshake reply
	ConnectOK                   // a successful connect reply
	ConnectionLost              // a request of the connect loop failed in the network
	SessionLost                 // the server does not know the session, or advised a handshake
	DisconnectSent              // the client wants to end
	DisconnectOK                // the disconnect was answered, or the server ended the session
	Refused                     // the server's refusal, or its advice "none", was final
)

var stateNames = [...]string{"disconnected", "handshaking", "connecting", "connected", "unconnected", "disconnecting", "stopped"}

var eventNames = [...]string{"handshake sent", "handshake ok", "connect ok", "connection lost", "session lost", "disconnect sent", "disconnect ok", "refused"}

// transitions has all that is legal.
var transitions = [...]map[Event]State{
	Disconnected: {
		HandshakeSent:  Handshaking,
		ConnectionLost: Disconnected,
		SessionLost:    Disconnected,
		DisconnectSent: Stopped, // nothing to end
		Refused:        Stopped,
	},
	Handshaking: {
		HandshakeSent:  Handshaking,
		HandshakeOK:    Connecting,
		ConnectionLost: Disconnected,
		SessionLost:    Disconnected,
		DisconnectSent: Disconnecting,
		Refused:        Stopped,
	},
	Connecting: {
		HandshakeSent:  Handshaking,
		ConnectOK:      Connected,
		ConnectionLost: Unconnected,
		SessionLost:    Disconnected,
		DisconnectSent: Disconnecting,
		DisconnectOK:   Stopped,
		Refused:        Stopped,
	},
	Connected: {
		HandshakeSent:  Handshaking,
		ConnectOK:      Connected,
		ConnectionLost: Unconnected,
		SessionLost:    Disconnected,
		DisconnectSent: Disconnecting,
		DisconnectOK:   Stopped,
		Refused:        Stopped,
	},
	Unconnected: {
		HandshakeSent:  Handshaking,
		ConnectOK:      Connected,
		ConnectionLost: Unconnected,
		SessionLost:    Disconnected,
		DisconnectSent: Disconnecting,
		DisconnectOK:   Stopped,
		Refused:        Stopped,
	},
	Disconnecting: {
		ConnectOK:      Disconnecting, // the held connect's last reply
		ConnectionLost: Stopped,
		SessionLost:    Stopped,
		DisconnectOK:   Stopped,
		Refused:        Stopped,
	},
	Stopped: {
		HandshakeSent: Handshaking,
	},
}

// Next returns the state that follows s after e. An event that makes no sense
// in s leaves it as it is and returns an error. Next is a pure function: the
// caller keeps the state.
func (s State) Next(e Event) (State, error) {
	if s >= 0 && int(s) < len(transitions) {
		if next, ok := transitions[s][e]; ok {
			return next, nil
		}
	}
	return s, fmt.Errorf("bayeux: state %v does not allow the event %v", s, e)
}

// String returns the state in lower case, "connected".
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return "State(" + strconv.Itoa(int(s)) + ")"
	}
	return stateNames[s]
}

// String returns the event in lower case, "connect ok".
func (e Event) String() string {
	if e < 0 || int(e) >= len(eventNames) {
		return "Event(" + strconv.Itoa(int(e)) + ")"
	}
	return eventNames[e]
}
