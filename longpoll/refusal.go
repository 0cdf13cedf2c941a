package longpoll

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

// refusal is the error that an answer other than 200 stands for. It reads
// little of the body, which may be a page of any size from any proxy.
func refusal(resp *http.Response) *transport.Error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	return &transport.Error{
		Type:       bayeux.LongPolling,
		Op:         "receive",
		Status:     resp.StatusCode,
		Reason:     transport.StatusReason(resp.StatusCode),
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
		Location:   resp.Header.Get("Location"),
		Detail:     clean(string(text)),
	}
}

// clean makes one short line of what a stranger wrote: no control characters,
// at most 200 bytes or so.
func clean(s string) string {
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

// retryAfter reads a Retry-After header: seconds or a date. What cannot be read
// or lies in the past is 0, what is more than a day away is a day.
func retryAfter(v string, now time.Time) time.Duration {
	const day = 24 * time.Hour
	if s, err := strconv.ParseUint(v, 10, 32); err == nil {
		return min(time.Duration(s)*time.Second, day)
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(t.Sub(now), 0), day)
}
