package transport

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// A Peer says who is at the other end of a Conn. It is read-only.
type Peer struct {
	Type   string // the connection type, such as "websocket"
	Once   bool   // one payload each way; false: a stream
	Polled bool   // events leave only with the reply to a /meta/connect

	Addr   string               // network address, host:port; may be empty
	URL    *url.URL             // of the request that opened the Conn; without its query, or nil, where it is longer than Accept.HeaderBytes
	Header http.Header          // of that request, the names in Accept.Headers, as many as Accept.HeaderBytes has room for; may be nil
	TLS    *tls.ConnectionState // nil without TLS; without a ServerName of more than 253 bytes
	Proto  int                  // HTTP's major version; 0 without HTTP

	// Browser is the value of the BAYEUX_BROWSER cookie: together with the
	// clientId it names a session (docs/protocol.md §11). Fresh says that it was
	// made for this Conn: the client has not presented it yet.
	Browser string
	Fresh   bool
}

// String returns type and address: what is safe to show. The rest of a Peer
// may be secret, the cookie and the headers above all.
func (p *Peer) String() string {
	switch {
	case p == nil:
		return "none"
	case p.Addr == "":
		return p.Type
	}
	return p.Type + " " + p.Addr
}

// Format writes what String returns, for every verb and flag.
func (p *Peer) Format(f fmt.State, _ rune) { io.WriteString(f, p.String()) }

// LogValue has type and address.
func (p *Peer) LogValue() slog.Value { return slog.StringValue(p.String()) }

// A Target says where a Dialer dials to, and how.
type Target struct {
	URL    *url.URL     // the server's http or https URL
	Header http.Header  // added to every request
	HTTP   *http.Client // holds cookies, TLS and proxy for every transport; nil: http.DefaultClient without cookies
	Limit  int          // bytes of one received payload; zero or negative: no bound
}

// Accept is what a server tells its Acceptors.
type Accept struct {
	Limit   int           // bytes of one received payload; zero or negative: no bound
	Body    time.Duration // for a request's body to arrive; zero or negative: no bound
	Stall   time.Duration // for a write to make progress; zero or negative: no bound
	Cookie  *http.Cookie  // template of the cookie; nil, or no Name: BAYEUX_BROWSER
	Headers []string      // names to keep in Peer.Header, in canonical form; the first ones first where there is no room for all

	// HeaderBytes bounds Peer.Header, names, values and 16 bytes for each value,
	// and Peer.URL: a header that does not fit is left out with all its values.
	// Zero or negative: no bound.
	HeaderBytes int

	// NewBrowser makes the value of the cookie for a browser that has none: safe
	// in a cookie, unique and unguessable. nil: 130 random bits.
	NewBrowser func() string

	// Go runs f on a goroutine that the server's Close waits for, and is false,
	// without f, after Close. An Acceptor whose Conns outlive their requests runs
	// them so: before Serve returns, for with that the request's place is free
	// among those that the server counts. nil: a go statement will do.
	Go func(f func()) bool

	// Limited, if not nil, is told of a limit that r broke before there was a
	// Conn for it, and of LimitHeaderBytes. Acceptors call it through
	// [Accept.Broke].
	Limited func(r *http.Request, limit string)
}

// Limits that an Acceptor may find broken, named as the server counts them.
const (
	LimitMessageBytes = "message_bytes" // Accept.Limit
	LimitBody         = "body"          // Accept.Body
	LimitHeaderBytes  = "header_bytes"  // Accept.HeaderBytes; [Accept.Peer] finds it
	LimitCallback     = "callback"      // the length of a JSONP callback's name
)

// Broke tells the server that r broke a limit, and that r is refused for it, but
// for LimitHeaderBytes, of which r knows nothing. Once there is a Conn, the
// Conn's error says so instead.
func (a *Accept) Broke(r *http.Request, limit string) {
	if a.Limited != nil {
		a.Limited(r, limit)
	}
}

// BoundAnswer gives an answer that is not a Conn's the time of Stall, all of it,
// in place of the http.Server's WriteTimeout: without a limit a peer that does
// not read would keep it, and its goroutine, for ever. Who refuses r calls it
// first; net/http takes the limit away after the answer.
func (a *Accept) BoundAnswer(w http.ResponseWriter) {
	end := time.Time{}
	if a.Stall > 0 {
		end = time.Now().Add(a.Stall)
	}
	http.NewResponseController(w).SetWriteDeadline(end) // in vain with servers that have no such thing
}
