package transport

// A Payload is what one Send carries: messages that are already encoded.
type Payload struct {
	Kind     Kind     // what the payload is for
	Messages [][]byte // each one JSON object; shared and read-only

	// Last says that the peer should come again over another connection, which may
	// lead elsewhere: a Conn that is one exchange of HTTP/1.1 ends its connection
	// with this answer, others may ignore it.
	Last bool
}

// Len is the length in bytes of what AppendTo adds.
func (p *Payload) Len() int {
	n := 2
	for _, m := range p.Messages {
		n += len(m) + 1
	}
	if len(p.Messages) > 0 {
		n-- // no comma after the last
	}
	return n
}

// AppendTo appends the payload as it goes on the wire, a JSON array, to dst and
// returns the longer slice. Without messages it is "[]".
func (p *Payload) AppendTo(dst []byte) []byte {
	dst = append(dst, '[')
	for i, m := range p.Messages {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, m...)
	}
	return append(dst, ']')
}

// A Kind says what a Payload is for, so that a transport need not look inside:
// the one meta message in it, or its reply. A client's payload of several kinds
// is Other, as are publishes. A server's is Handshake only if the handshake
// succeeded, because then the browser's cookie is set. It is Connect if it answers a
// connect that was held, or has events with it: to a requester who is gone such a one
// is not sent, for what is in it can still reach the client another way.
type Kind int8

const (
	Other Kind = iota // publishes, batches, events
	Handshake
	Connect
	Disconnect
	Subscribe
	Unsubscribe
)

// String is the last segment of the meta channel, such as "handshake", or
// "other".
func (k Kind) String() string {
	names := [...]string{"other", "handshake", "connect", "disconnect", "subscribe", "unsubscribe"}
	if k < 0 || int(k) >= len(names) {
		k = Other
	}
	return names[k]
}
