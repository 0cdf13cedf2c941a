package longpoll

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gocometd/cometd/internal/fuzzing"
	"github.com/gocometd/cometd/transport"
)

// Whatever a request's body and type are, it is answered, with at most the
// limit given to the reader and never with an internal error.
func FuzzRequest(f *testing.F) {
	f.Add("application/json", []byte(`[1]`))
	f.Add("application/x-www-form-urlencoded", []byte(`message=%5B1%5D&message=2`))
	f.Add("text/json;charset=utf-16", []byte("\xff\xfe[\x00]\x00\x00"))
	f.Add("text/json;charset=iso-8859-1", []byte("[\xe9]"))
	f.Add(";charset=\"", []byte(nil))
	a, o := NewAcceptor(WithForm(true)), &transport.Accept{Limit: 64}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		fuzzing.Watch(t)
		r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
		r.Header["Content-Type"] = []string{contentType}
		w := httptest.NewRecorder()
		a.Serve(w, r, o, func(c transport.Conn) {
			in, err := c.Receive()
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(in)
			if len(text) > o.Limit {
				t.Errorf("%d bytes were read", len(text))
			}
			if err != nil {
				c.Close(transport.ReasonOf(err))
				return
			}
			c.Send(&transport.Payload{})
		})
		if w.Code != 200 && (w.Code < 400 || w.Code > 415) || w.Body.Len() == 0 {
			t.Errorf("%d %q", w.Code, w.Body)
		}
	})
}

// Whatever a query is, the answer is a call of a harmless name, or a refusal
// without a word of the query.
func FuzzCallback(f *testing.F) {
	f.Add("jsonp=cb&message=%5B1%5D")
	f.Add("jsonp=alert(1)//&message=%5B1%5D")
	f.Add("jsonp=a&jsonp=b")
	f.Add("jsonp=%00&message=%ff;;&&=")
	a := NewCallbackAcceptor().(*callbackAcceptor)
	f.Fuzz(func(t *testing.T, query string) {
		fuzzing.Watch(t)
		name, text, err := a.parse(&http.Request{URL: &url.URL{RawQuery: query}}, &transport.Accept{Limit: 64})
		if err != nil {
			if err.Status < 400 || err.Status > 413 {
				t.Error(err)
			}
			return
		}
		if len(text) > 64 || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
			t.Errorf("%q(%q)", name, text)
		}
	})
}

// Arrays that are valid alone are one valid array together, with all their
// elements.
func FuzzJoinMessages(f *testing.F) {
	f.Add("[1]", "2")
	f.Add(" [ ] ", `{"a":[1]}`)
	f.Add("[]", "[]")
	f.Fuzz(func(t *testing.T, a, b string) {
		fuzzing.Watch(t)
		joined, err := joinMessages([]string{a, b})
		n, ok := elements(a)
		m, ok2 := elements(b)
		if !ok || !ok2 {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := elements(string(joined)); !ok || got != n+m {
			t.Errorf("%q and %q make %q", a, b, joined)
		}
	})
}

// elements counts those of an array; an object is one.
func elements(s string) (int, bool) {
	var list []json.RawMessage
	if json.Unmarshal([]byte(s), &list) == nil && strings.HasPrefix(strings.TrimSpace(s), "[") {
		return len(list), true
	}
	var object map[string]json.RawMessage
	return 1, json.Unmarshal([]byte(s), &object) == nil && object != nil
}

// What a stranger's server says fits into one short line of a log.
func FuzzRefusal(f *testing.F) {
	f.Add("busy\n\x1b[31m", "7")
	f.Add(strings.Repeat("é", 300), "Sat, 21 Nov 2026 12:00:30 GMT")
	f.Add("\xff\u202e", "-1")
	f.Fuzz(func(t *testing.T, body, after string) {
		fuzzing.Watch(t)
		line := transport.Detail(body)
		if len(line) > 210 || !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl) {
			t.Errorf("%q", line)
		}
		if d := transport.RetryAfter(after, time.Unix(0, 0)); d < 0 || d > 24*time.Hour {
			t.Errorf("%q is %v", after, d)
		}
	})
}

// Any bytes become UTF-8, and text survives.
func FuzzUTF16(f *testing.F) {
	f.Add([]byte("\xff\xfe[\x00]\x00"))
	f.Add([]byte("\xd8\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzing.Watch(t)
		if out := utf16Marked(b); len(b)%2 == 0 && !utf8.Valid(out) {
			t.Errorf("%q became %q", b, out)
		}
		if !utf8.Valid(latin1(b)) {
			t.Errorf("%q", b)
		}
	})
}
