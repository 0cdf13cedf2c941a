//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

var blankLine = []byte("\r\n\r\n")

// post sends a long-polling request. kind names the message in it.
func (l *load) post(c *conn, kind string, body []byte) {
	path := l.path
	if of := pathOf(kind); l.pathPerKind && of != "" {
		path = strings.TrimSuffix(path, "/") + of
	}
	w := make([]byte, 0, 256+len(body))
	w = append(w, "POST "...)
	w = append(w, path...)
	w = append(w, " HTTP/1.1\r\nHost: "...)
	w = append(w, l.host...)
	w = append(w, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	w = strconv.AppendInt(w, int64(len(body)), 10)
	if c.cookie != "" {
		w = append(w, "\r\nCookie: "...)
		w = append(w, c.cookie...)
	}
	w = append(w, blankLine...)
	w = append(w, body...)
	c.busy = true
	l.write(c, w)
}

func pathOf(kind string) string {
	switch kind {
	case "subscribe":
		return ""
	case "publish":
		return "/connect"
	}
	return "/" + kind
}

// responseFrom consumes one HTTP response: to an upgrade, or to a request of
// long-polling. It returns 0 when b has not all of it.
func (l *load) responseFrom(c *conn, b []byte) int {
	end := bytes.Index(b, blankLine)
	if end < 0 {
		return 0
	}
	r := headOf(b[:end])
	if !l.http {
		if r.status != "101" {
			l.fail(c, fmt.Errorf("no upgrade: %q", b[:end]))
			return end + len(blankLine)
		}
		c.upgraded = true
		l.dialect.opened(c)
		return end + len(blankLine)
	}
	body, used, err := r.body(b[end+len(blankLine):])
	if used < 0 {
		return 0
	}
	c.busy = false
	c.keepCookies(r.cookies)
	switch {
	case err != nil:
		l.fail(c, err)
	case r.status != "200":
		l.fail(c, fmt.Errorf("HTTP %s %s", r.status, body))
	default:
		l.heard(c, body)
	}
	return end + len(blankLine) + used
}

// A response is what its head says.
type response struct {
	status  string
	length  int
	chunked bool
	cookies []string
}

func headOf(head []byte) (r response) {
	if len(head) > 12 {
		r.status = string(head[9:12])
	}
	for _, line := range bytes.Split(head, blankLine[:2])[1:] {
		key, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(key) {
		case "content-length":
			r.length, _ = strconv.Atoi(value) // 0 is caught by what the body then is
		case "transfer-encoding":
			r.chunked = strings.EqualFold(value, "chunked")
		case "set-cookie":
			pair, _, _ := strings.Cut(value, ";")
			r.cookies = append(r.cookies, pair)
		}
	}
	return r
}

// body takes it from b, and how much of b it is, which is -1 when b has not all
// of it.
func (r *response) body(b []byte) (body []byte, used int, err error) {
	if !r.chunked {
		if len(b) < r.length {
			return nil, -1, nil
		}
		return b[:r.length], r.length, nil
	}
	rest := b
	for {
		size, after, ok := bytes.Cut(rest, blankLine[:2])
		if !ok {
			return nil, -1, nil
		}
		n, err := strconv.ParseUint(string(bytes.TrimSpace(size)), 16, 31)
		if err != nil {
			return nil, len(b), fmt.Errorf("bad chunk: %w", err)
		}
		if len(after) < int(n)+2 {
			return nil, -1, nil
		}
		body = append(body[:len(body):len(body)], after[:n]...)
		rest = after[n+2:]
		if n == 0 {
			return body, len(b) - len(rest), nil
		}
	}
}

// keepCookies remembers them; a later one of the same name replaces an earlier.
func (c *conn) keepCookies(pairs []string) {
	for _, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		kept := []string{pair}
		for old := range strings.SplitSeq(c.cookie, "; ") {
			if old != "" && !strings.HasPrefix(old, name+"=") {
				kept = append(kept, old)
			}
		}
		c.cookie = strings.Join(kept, "; ")
	}
}
