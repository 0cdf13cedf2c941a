package bayeux

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// What a caller branches on. An [*Error] that came from a peer matches these
// with errors.Is; docs/protocol.md §4, §17 and §18 have the texts that servers
// send.
var (
	// ErrUnauthorized is 401: no or stale credentials.
	ErrUnauthorized = errors.New("bayeux: unauthorized")
	// ErrUnknownSession is 402, and 401 or 403 "Unknown client" of other
	// servers: the session is gone and a new handshake is due.
	ErrUnknownSession = errors.New("bayeux: unknown session")
	// ErrDenied is 403: the server's policy refused.
	ErrDenied = errors.New("bayeux: denied")
	// ErrChannel is a channel that is missing, unknown or illegal: 400, 404 or
	// 405 with a text about the channel, or 403 about the subscription.
	ErrChannel = errors.New("bayeux: illegal channel")
	// ErrDeleted is 404::message_deleted: an extension or listener, of either
	// end, took the message out.
	ErrDeleted = errors.New("bayeux: message deleted by an extension")
	// ErrTimeout is 406: no reply in time.
	ErrTimeout = errors.New("bayeux: no reply in time")
	// ErrNoData is what Message.Decode returns for a message without a data
	// field. No Error matches it.
	ErrNoData = errors.New("bayeux: message without data")
)

// An Error is a refusal: on a client the error field of a failed reply, taken
// apart; on a server what a policy, listener, service or extension returns to
// refuse, with the advice and ext that its reply shall carry.
type Error struct {
	Code    int      // 402; 0 if the text has none
	Args    []string // "/quotes/ACME"; they hold neither commas nor colons
	Message string   // "session_unknown"
	Channel string   // of the request that failed, "/meta/subscribe"
	Advice  *Advice
	Ext     Ext
	Data    json.RawMessage // of a failed remote call
}

// Errorf makes an Error to return from a policy, listener, service or
// extension. The text goes to the peer: by custom it is short and lower-case,
// token_missing.
func Errorf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// ParseError takes the error field of a reply on ch apart. It never fails: the
// usual form is code:args:message, and of any other text it takes the digits
// in front, if there are three, and keeps the rest as the message.
func ParseError(ch, text string) *Error {
	e := &Error{Channel: ch, Message: text}
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	coloned := n < len(text) && text[n] == ':'
	if n != 3 && (!coloned || n == 0 || n > 9) {
		return e
	}
	code, _ := strconv.Atoi(text[:n])
	args, message := "", strings.TrimSpace(text[n:])
	if coloned {
		var ok bool
		if args, message, ok = strings.Cut(text[n+1:], ":"); !ok {
			args, message = "", args
		}
	}
	if code == 0 && args == "" { // no code, and a message that Wire gives back as it is
		return e
	}
	if args != "" {
		e.Args = strings.Split(args, ",")
	}
	e.Code, e.Message = code, message
	return e
}

// Wire returns the text of the error field, code:args:message. An Error
// without a code is its message alone.
func (e *Error) Wire() string {
	if e.Code == 0 && len(e.Args) == 0 {
		return e.Message
	}
	return fmt.Sprintf("%03d:%s:%s", e.Code, strings.Join(e.Args, ","), e.Message)
}

// Error returns one line for people, "bayeux: /chat/room: 403 publish_denied".
// What the peer sent is shortened and its control characters are escaped.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("bayeux: ")
	if e.Channel != "" {
		b.WriteString(printable(e.Channel, 64) + ": ")
	}
	if e.Code != 0 {
		b.WriteString(strconv.Itoa(e.Code) + " ")
	}
	if e.Message == "" {
		b.WriteString("refused")
	} else {
		b.WriteString(readable(e.Message, 256))
	}
	if len(e.Args) > 0 {
		b.WriteString(" (" + readable(strings.Join(e.Args, ","), 128) + ")")
	}
	return b.String()
}

// readable is printable for text that may hold spaces.
func readable(s string, limit int) string {
	if p := printable(strings.ReplaceAll(s, " ", "_"), limit); strings.HasPrefix(p, `"`) {
		return printable(s, limit)
	}
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}

// Is lets errors.Is see through the wire's codes and texts.
func (e *Error) Is(target error) bool {
	text := strings.ToLower(e.Message)
	switch target {
	case ErrUnknownSession:
		return e.sessionGone(text)
	case ErrUnauthorized:
		return e.Code == 401 && !e.sessionGone(text)
	case ErrDenied:
		return e.Code == 403 && !e.sessionGone(text)
	case ErrChannel:
		return e.badChannel(text)
	case ErrDeleted:
		return e.Code == 404 && text == "message_deleted"
	case ErrTimeout:
		return e.Code == 406
	}
	return false
}

func (e *Error) sessionGone(text string) bool {
	switch e.Code {
	case 401, 403:
		return strings.HasPrefix(text, "unknown client")
	case 402: // which for Faye is a missing parameter
		return !strings.HasPrefix(text, "missing")
	}
	return false
}

func (e *Error) badChannel(text string) bool {
	switch e.Code {
	case 400, 404, 405:
		return strings.Contains(text, "channel")
	case 403:
		return text == "subscription_invalid" || text == "subscription_missing"
	}
	return false
}
