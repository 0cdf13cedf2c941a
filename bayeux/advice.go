package bayeux

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"
)

// Reconnect is what the server advises a client to do next.
type Reconnect string

const (
	Retry          Reconnect = "retry"     // send the next connect after Interval
	HandshakeAgain Reconnect = "handshake" // the session is gone: handshake at once
	NoReconnect    Reconnect = "none"      // stop
)

// Advice is the advice field (docs/protocol.md §5). A new advice replaces the
// old one whole: what it lacks has its default again. A server therefore
// always sends the full triple of Reconnect, Interval and Timeout.
//
// Reading is tolerant: a field of the wrong type, or a negative number, counts
// as absent.
type Advice struct {
	Reconnect       Reconnect // "" is absent
	Interval        Span      // pause between a connect reply and the next connect; default 0
	Timeout         Span      // how long the server holds a connect
	MaxInterval     Span      // how long the server keeps a session that does not connect
	MultipleClients bool      // another client shares the browser's cookie: poll slowly
	Hosts           []string  // other servers; only in the specification
}

// ShouldRetry reports whether the advice is to connect again. It is the
// default: so do a nil advice, an empty one, and one with an unknown word.
func (a *Advice) ShouldRetry() bool { return !a.ShouldHandshake() && !a.ShouldStop() }

// ShouldHandshake reports whether the advice is to handshake again.
func (a *Advice) ShouldHandshake() bool { return a != nil && a.Reconnect == HandshakeAgain }

// ShouldStop reports whether the advice is neither to retry nor to handshake.
func (a *Advice) ShouldStop() bool { return a != nil && a.Reconnect == NoReconnect }

// Clone returns a deep copy; that of nil is nil.
func (a *Advice) Clone() *Advice {
	if a == nil {
		return nil
	}
	c := *a
	c.Hosts = slices.Clone(a.Hosts)
	return &c
}

// A Span is a duration that may be absent, which is not the same as zero: an
// advised timeout of 0 means "answer at once", a missing one "as usual". On
// the wire it is a number of milliseconds. Spans compare with ==.
type Span struct {
	d   time.Duration
	set bool
}

// SpanOf returns a Span that is present. The wire carries whole milliseconds;
// a fraction is rounded up, and a negative d is 0.
func SpanOf(d time.Duration) Span {
	const ms = time.Millisecond
	d = max(d, 0)
	if r := d % ms; r != 0 && d <= math.MaxInt64-ms {
		d += ms - r
	}
	return Span{d, true}
}

// Or returns the duration, or def if the Span is absent.
func (s Span) Or(def time.Duration) time.Duration {
	if !s.set {
		return def
	}
	return s.d
}

// IsZero reports whether the Span is absent.
func (s Span) IsZero() bool { return !s.set }

// String returns the duration, or "absent".
func (s Span) String() string {
	if !s.set {
		return "absent"
	}
	return s.d.String()
}

// ParseSpan reads milliseconds as they stand in JSON. Whatever is not a
// number, or is negative, is an absent Span; one beyond 292 years is cut.
func ParseSpan(number []byte) Span {
	if len(number) == 0 || number[0] < '0' || number[0] > '9' {
		return Span{}
	}
	const most = math.MaxInt64 / int64(time.Millisecond)
	n, err := strconv.ParseInt(string(number), 10, 64) // ParseFloat takes half of a goroutine's first stack
	if err != nil {
		ms, err := strconv.ParseFloat(string(number), 64)
		if err != nil && !math.IsInf(ms, 1) {
			return Span{}
		}
		n = most
		if ms < float64(most) {
			n = int64(math.Ceil(ms))
		}
	}
	return Span{time.Duration(min(n, most)) * time.Millisecond, true}
}

// MarshalJSON writes milliseconds; null for an absent Span.
func (s Span) MarshalJSON() ([]byte, error) {
	if !s.set {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, s.d.Milliseconds(), 10), nil
}

// UnmarshalJSON is [ParseSpan]; it never fails.
func (s *Span) UnmarshalJSON(b []byte) error {
	*s = ParseSpan(b)
	return nil
}

// MarshalJSON writes the fields that are present.
func (a Advice) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Reconnect       Reconnect `json:"reconnect,omitempty"`
		Interval        Span      `json:"interval,omitzero"`
		Timeout         Span      `json:"timeout,omitzero"`
		MaxInterval     Span      `json:"maxInterval,omitzero"`
		MultipleClients bool      `json:"multiple-clients,omitempty"`
		Hosts           []string  `json:"hosts,omitempty"`
	}(a))
}

// UnmarshalJSON reads an object, skipping fields of the wrong type. It fails
// only if b is not an object.
func (a *Advice) UnmarshalJSON(b []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	*a = Advice{
		Interval:    ParseSpan(fields["interval"]),
		Timeout:     ParseSpan(fields["timeout"]),
		MaxInterval: ParseSpan(fields["maxInterval"]),
	}
	optional(fields["reconnect"], &a.Reconnect)
	optional(fields["multiple-clients"], &a.MultipleClients)
	a.Hosts = hosts(fields["hosts"])
	return nil
}

// hosts is nil unless b is a list of strings with something in it.
func hosts(b json.RawMessage) (list []string) {
	var names []*string
	optional(b, &names)
	for _, name := range names {
		if name == nil { // null, which fits any pointer
			return nil
		}
		list = append(list, *name)
	}
	return list
}

// optional stores b in v unless it does not fit.
func optional[T any](b json.RawMessage, v *T) {
	var t T
	if len(b) > 0 && json.Unmarshal(b, &t) == nil {
		*v = t
	}
}
