package transport

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// What a caller branches on. An [Error] answers errors.Is for all of them.
var (
	// ErrClosed reports use of a Conn that has ended.
	ErrClosed = errors.New("transport: closed")

	// ErrUnsupported reports that the far side, or something between, does not
	// let this transport through, such as an upgrade that was answered without
	// 101, unless with a status that says "not now". Fall back to the next
	// transport now (docs/protocol.md §7).
	ErrUnsupported = errors.New("transport: not supported here")

	// ErrUnauthorized reports HTTP status 401: get a new token, then try again.
	ErrUnauthorized = errors.New("transport: unauthorized")

	// ErrTooLarge reports a payload over the limit, at either end.
	ErrTooLarge = errors.New("transport: payload too large")
)

// An Error is a failure of the network or of an answer that is not a payload.
// It ends one Conn; the session may go on over another.
type Error struct {
	Type       string        // the connection type, such as "long-polling"
	Op         string        // "dial", "send" or "receive"
	Status     int           // of the HTTP answer; 0 if there was none
	Reason     Reason        // why the far side closed; Internal if it did not say
	RetryAfter time.Duration // from the Retry-After header; 0 if there was none
	Location   string        // where a redirect points; redirects are not followed
	Limit      int           // in bytes, when Reason is TooLarge and the limit is known
	Detail     string        // what the far side wrote: one short line, cleaned
	Err        error         // what lies below; may be nil
}

// Error says everything in one line, ending with the value that was wrong.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("transport: ")
	b.WriteString(strings.TrimSpace(e.Type + " " + e.Op))
	switch {
	case e.Status != 0:
		b.WriteString(strings.TrimSpace(": " + strconv.Itoa(e.Status) + " " + http.StatusText(e.Status)))
	case e.Reason == Internal && e.Err != nil: // Err says it better
	case e.Reason != Normal:
		b.WriteString(": " + e.Reason.Text())
	}
	if e.Location != "" {
		b.WriteString(" to " + strconv.Quote(shown(e.Location)))
	}
	if e.RetryAfter > 0 {
		b.WriteString(", retry after " + e.RetryAfter.String())
	}
	if e.Limit > 0 {
		b.WriteString(": limit is " + strconv.Itoa(e.Limit) + " bytes")
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.Detail != "" && e.Location == "" { // a redirect's page says it again
		b.WriteString(": " + strconv.Quote(e.Detail))
	}
	return b.String()
}

// Unwrap gives what lies below.
func (e *Error) Unwrap() error { return e.Err }

// Is lets errors.Is(err, ErrUnauthorized) see through a status and
// errors.Is(err, ErrTooLarge) through a reason.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrUnauthorized:
		return e.Status == http.StatusUnauthorized
	case ErrTooLarge:
		return e.Reason == TooLarge || e.Status == http.StatusRequestEntityTooLarge
	}
	return false
}

// Redacted is u for people: without its password, and without its fragment and the
// values of its query, which may be secrets too.
func Redacted(u *url.URL) string {
	shown := *u
	shown.RawQuery, shown.Fragment, shown.RawFragment = names(u.RawQuery), "", ""
	return shown.Redacted()
}

// shown is Redacted of a URL that a stranger wrote.
func shown(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		raw, _, _ = strings.Cut(raw, "#")
		raw, _, _ = strings.Cut(raw, "?")
		return raw
	}
	return Redacted(u)
}

// names is a query without its values.
func names(query string) string {
	if query == "" {
		return ""
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, _, named := strings.Cut(pair, "=")
		if pairs[i] = "xxxxx"; named {
			pairs[i] = name + "=xxxxx"
		}
	}
	return strings.Join(pairs, "&")
}

// RetryAfter reads a Retry-After header, seconds or a date, for
// Error.RetryAfter. What cannot be read or lies before now is 0, what is more
// than a day away is a day (RFC 9110 §10.2.3).
func RetryAfter(v string, now time.Time) time.Duration {
	const day = 24 * time.Hour
	if s, err := strconv.ParseUint(v, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(s, uint64(day/time.Second))) * time.Second
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(t.Sub(now), 0), day)
}

// Detail makes one short line of what a stranger wrote, for Error.Detail: without
// control characters, and of some 200 bytes at most.
func Detail(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == unicode.ReplacementChar
	}), " ")
	for i := range s {
		if i >= 200 {
			return s[:i] + "…"
		}
	}
	return s
}
