package transport

import (
	"errors"
	"io"
	"net/http"
	"strconv"
)

// A Reason says why a Conn or a session ended, or why something was refused or
// dropped. It is the one list that logs, hooks and answers share.
//
//	reason      HTTP  WebSocket  final  when
//	Normal       204       1000  yes    the end was asked for
//	Replaced     500       4409  no     a newer connect or socket took its place
//	GoingAway    503       1001  no     the server stops; come back, perhaps elsewhere
//	BadPayload   400       1007  no     not a payload: not JSON, not UTF-8, not text
//	TooLarge     413       1009  no     larger than the limit that the answer names
//	Forbidden    403       1008  yes    refused by policy, such as by its Origin
//	Stalled      408       4408  no     the peer took or gave nothing for too long
//	Overflow     429       1013  no     over a limit in number; try again later
//	Expired      410       4410  no     the session's grace is over; handshake again
//	Kicked       403       4403  yes    ended by the application
//	Idle         408       1001  no     nothing was said for too long
//	Internal     500       1011  no     our own fault
//
// HTTP is the status of an exchange that is closed without an answer (the
// reference answers 500 to a replaced connect, docs/protocol.md §9; package
// longpoll has an option for another), WebSocket the code of the close frame.
// Codes from 4000 are 4000 plus the HTTP status that fits best.
type Reason int8

const (
	Normal Reason = iota
	Replaced
	GoingAway
	BadPayload
	TooLarge
	Forbidden
	Stalled
	Overflow
	Expired
	Kicked
	Idle
	Internal
)

// reasons has one row per Reason, in the order of the constants.
var reasons = [...]struct {
	name   string
	text   string
	status int
	code   int
	final  bool
}{
	Normal:     {"normal", "ended normally", http.StatusNoContent, 1000, true},
	Replaced:   {"replaced", "replaced by a newer connection", http.StatusInternalServerError, 4409, false},
	GoingAway:  {"going_away", "the server is going away", http.StatusServiceUnavailable, 1001, false},
	BadPayload: {"bad_payload", "the payload is not valid", http.StatusBadRequest, 1007, false},
	TooLarge:   {"too_large", "the payload is too large", http.StatusRequestEntityTooLarge, 1009, false},
	Forbidden:  {"forbidden", "not allowed", http.StatusForbidden, 1008, true},
	Stalled:    {"stalled", "the peer stalled", http.StatusRequestTimeout, 4408, false},
	Overflow:   {"overflow", "over the limit", http.StatusTooManyRequests, 1013, false},
	Expired:    {"expired", "the session has expired", http.StatusGone, 4410, false},
	Kicked:     {"kicked", "ended by the application", http.StatusForbidden, 4403, true},
	Idle:       {"idle", "idle for too long", http.StatusRequestTimeout, 1001, false},
	Internal:   {"internal", "internal error", http.StatusInternalServerError, 1011, false},
}

func (r Reason) known() bool { return r >= 0 && int(r) < len(reasons) }

// String is a short name for logs and metrics, such as "too_large".
func (r Reason) String() string {
	if !r.known() {
		return "reason(" + strconv.Itoa(int(r)) + ")"
	}
	return reasons[r].name
}

// Text is what a peer is told: a few plain words without internals, no more than 30
// bytes where a longer text would be cut short by the reference's client.
func (r Reason) Text() string {
	if !r.known() {
		return reasons[Internal].text
	}
	return reasons[r].text
}

// Status is the HTTP status of an exchange that is closed without an answer.
func (r Reason) Status() int {
	if !r.known() {
		return http.StatusInternalServerError
	}
	return reasons[r].status
}

// CloseCode is the code in a WebSocket's close frame.
func (r Reason) CloseCode() int {
	if !r.known() {
		return 1011
	}
	return reasons[r].code
}

// Final says that coming back cannot help: the end was wanted, by this side or
// by the other's policy. After any other reason a client reconnects.
func (r Reason) Final() bool { return r.known() && reasons[r].final }

// CodeReason is the Reason that a peer gave by a WebSocket close code. 1001 is
// GoingAway; an unknown code is Internal.
func CodeReason(code int) Reason {
	switch code {
	case 1005: // a close frame without a code
		return Normal
	case 1002, 1003:
		return BadPayload
	case 1012:
		return GoingAway
	}
	for r, row := range reasons {
		if row.code == code {
			return Reason(r)
		}
	}
	return Internal
}

// StatusReason is the Reason behind an HTTP status that is not 200. Statuses
// that say nothing about the Conn are Internal.
func StatusReason(status int) Reason {
	switch status {
	case http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return BadPayload
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return Forbidden
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return Stalled
	case http.StatusGone:
		return Expired
	case http.StatusRequestEntityTooLarge:
		return TooLarge
	case http.StatusTooManyRequests:
		return Overflow
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return GoingAway
	}
	return Internal
}

// ReasonOf is the Reason that err carries: that of the [Error] in its chain,
// Normal for nil, io.EOF and ErrClosed, TooLarge for ErrTooLarge, otherwise
// Internal.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, ErrClosed):
		return Normal
	case errors.Is(err, ErrTooLarge):
		return TooLarge
	}
	return Internal
}
