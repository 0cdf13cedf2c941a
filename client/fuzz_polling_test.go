//go:build !js

package client_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/internal/fuzzing"
	"github.com/gocometd/cometd/longpoll"
)

// A stranger is the server of a client that polls, as an http.RoundTripper. It
// answers one request oddly, and all others well.
type stranger struct {
	t      *testing.T
	at     int // which: one of the moments
	status int
	header http.Header
	body   string
	stalls bool // the odd answer never comes to its end

	mu         sync.Mutex
	given      bool // the odd answer
	subscribed chan struct{}
}

// The moments at which a stranger is odd.
const (
	atHandshake = iota
	atFirstConnect
	atSubscribe
	atPublish
	atHeldConnect // when all is well
	moments
)

func (s *stranger) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	require.NoError(s.t, err)
	for _, line := range r.Header["Cookie"] {
		assert.NotRegexp(s.t, `[\x00-\x08\x0a-\x1f\x7f]`, line)
		assert.Less(s.t, len(line), 128<<10)
	}
	var ms []*bayeux.Message
	require.NoError(s.t, json.Unmarshal(body, &ms))
	require.NotEmpty(s.t, ms)
	for _, m := range ms {
		now := momentOf(m)
		if now == atHeldConnect && s.at == now {
			s.awaitSubscription(r)
		}
		if s.claim(now) {
			return s.oddly(r, m), nil
		}
	}
	replies := make([]string, len(ms))
	for i, m := range ms {
		replies[i] = well(m)
		switch momentOf(m) {
		case atSubscribe:
			defer s.accepted()
		case atHeldConnect:
			select {
			case <-time.After(10 * time.Minute):
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}
	}
	return answer(http.StatusOK, http.Header{}, io.NopCloser(strings.NewReader("["+strings.Join(replies, ",")+"]"))), nil
}

func answer(status int, header http.Header, body io.ReadCloser) *http.Response {
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status), Header: header, Body: body, ContentLength: -1, ProtoMajor: 1, ProtoMinor: 1}
}

// well is a good answer to m.
func well(m *bayeux.Message) string {
	const advice = `"advice":{"reconnect":"retry","interval":0,"timeout":600000}`
	more := ""
	switch m.Channel {
	case bayeux.MetaHandshake:
		more = `,"version":"1.0","clientId":"s1","supportedConnectionTypes":["long-polling"],` + advice +
			`,"ext":{"ack":{"enabled":true,"numbers":true,"messages":2},"replay":true,"replay.marks":true}`
	case bayeux.MetaConnect:
		more = "," + advice
	case bayeux.MetaSubscribe, bayeux.MetaUnsubscribe:
		channels, _ := json.Marshal(m.Subscription.Channels)
		more = `,"subscription":` + string(channels)
	}
	return fmt.Sprintf(`{"channel":%q,"id":%q,"successful":true%s}`, m.Channel, m.ID, more)
}

func momentOf(m *bayeux.Message) int {
	switch m.Channel {
	case bayeux.MetaHandshake:
		return atHandshake
	case bayeux.MetaConnect:
		if m.Advice != nil && m.Advice.Timeout.Or(time.Hour) == 0 {
			return atFirstConnect
		}
		return atHeldConnect
	case bayeux.MetaSubscribe:
		return atSubscribe
	}
	return atPublish
}

// claim reports whether the odd answer is to be given now.
func (s *stranger) claim(moment int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.given || moment != s.at {
		return false
	}
	s.given = true
	return true
}

func (s *stranger) accepted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.subscribed:
	default:
		close(s.subscribed)
	}
}

// awaitSubscription waits until the client has read that its subscription was
// accepted.
func (s *stranger) awaitSubscription(r *http.Request) {
	select {
	case <-s.subscribed:
		time.Sleep(time.Second)
	case <-r.Context().Done():
	}
}

func (s *stranger) oddly(r *http.Request, m *bayeux.Message) *http.Response {
	text := io.Reader(strings.NewReader(s.said(m)))
	if s.stalls {
		text = io.MultiReader(text, stalling{r})
	}
	return answer(s.status, s.header, io.NopCloser(text))
}

// said is the odd body: with the id of what it answers, if it wants that.
func (s *stranger) said(m *bayeux.Message) string { return strings.ReplaceAll(s.body, "$id", m.ID) }

// stalling is the rest of a body that never comes.
type stalling struct{ *http.Request }

func (s stalling) Read([]byte) (int, error) {
	<-s.Context().Done()
	return 0, s.Context().Err()
}

// Whatever a server's answer to one request of a client that polls is, with
// whatever status and header, the client comes back or says why it has ended, and
// delivers events in the order in which they came.
func FuzzPollingAnswer(f *testing.F) {
	const ok, json = http.StatusOK, "Content-Type: application/json\n"
	const numbered = `{"channel":"/service/ack","data":1},{"channel":"/a/b","data":1},{"channel":"/a/b","data":2},{"channel":"/service/ack","data":2},{"channel":"/a/b","data":2},{"channel":"/a/c","data":3}`
	const past = `{"channel":"/a/b","data":{"event":{"replayId":5},"replay.data":"x"},"ext":{"replay.marks":1}},{"channel":"/service/replay","data":{"live":1}},{"channel":"/a/b","data":{"event":{"replayId":6},"n":1}},{"channel":"/a/b","data":{"event":{"replayId":6},"n":1}}`
	for _, ext := range []string{`true`, `{"enabled":true,"batch":3}`, `{"enabled":true,"numbers":true,"window":-1,"messages":1}`, `7`} {
		f.Add(atHandshake, ok, json+"Set-Cookie: BAYEUX_BROWSER=x y\"; Path=/; HttpOnly\n", `[{"channel":"/meta/handshake","id":"$id","successful":true,"clientId":"s1","supportedConnectionTypes":["long-polling"],"ext":{"ack":`+ext+`,"timesync":{"tc":1,"ts":2,"p":3,"a":4},"replay":true}}]`, false)
	}
	f.Add(atHandshake, ok, "", `[{"channel":"/meta/handshake","id":"$id","successful":true,"clientId":"s1","x-messages":2,"version":"2.0"},{"channel":"/a","data":1}]`, false)
	f.Add(atHandshake, ok, "", `[{"channel":"/meta/handshake","successful":true,"clientId":"","supportedConnectionTypes":["websocket"]}]`, false)
	f.Add(atHandshake, ok, "", `[{"channel":"/meta/handshake","id":"$id","successful":false,"error":"403::denied","advice":{"reconnect":"none"}}]`, false)
	f.Add(atHandshake, http.StatusServiceUnavailable, "Retry-After: 7200\nContent-Type: text/html\n", "<html>\x1b[31mbusy", false)
	f.Add(atHandshake, http.StatusUnauthorized, "WWW-Authenticate: Bearer\n", "", false)
	f.Add(atFirstConnect, ok, json, `[{"channel":"/meta/connect","id":"$id","successful":true,"advice":{"reconnect":"retry","interval":3600000,"timeout":1,"maxInterval":1,"hosts":["a"]}}]`, false)
	f.Add(atFirstConnect, ok, json, `[{"channel":"/meta/connect","id":"$id","successful":false,"error":"402::Unknown client","advice":{"reconnect":"handshake","interval":1e300}}]`, false)
	f.Add(atFirstConnect, http.StatusFound, "Location: http://elsewhere.test/\n", "", false)
	f.Add(atSubscribe, ok, json, `[{"channel":"/meta/subscribe","id":"$id","successful":true,"subscription":"/x"},{"channel":"/a/b","data":0}]`, false)
	f.Add(atSubscribe, ok, json, `[{"channel":"/meta/subscribe","id":"$id","successful":false,"error":"400::replayId is invalid","subscription":"/a/**"}]`, false)
	f.Add(atPublish, ok, json, `{"channel":"/b","id":"$id","successful":true,"ext":{"ack":1,"once":1}}`, false)
	f.Add(atPublish, http.StatusRequestEntityTooLarge, "", "x", false)
	f.Add(atHeldConnect, ok, json, `[`+numbered+`,{"channel":"/meta/connect","id":"$id","successful":true,"ext":{"ack":4,"timesync":{"tc":-1,"ts":1e9}}}]`, false)
	f.Add(atHeldConnect, ok, json+"Set-Cookie: a=b; Max-Age=-1\nSet-Cookie: a=\x80; Domain=.test; Expires=Thu, 01 Jan 1970\n", `[`+past+`,{"channel":"/meta/connect","id":"$id","successful":true}]`, false)
	f.Add(atHeldConnect, ok, json, `[`+numbered, true)
	f.Add(atHeldConnect, ok, json, "\xef\xbb\xbf [{\"channel\":\"/meta/disconnect\"},{\"channel\":\"/a/b\",\"data\":{\"data\":\"HelloWorld\",\"last\":true},\"ext\":{\"binary\":{}}}]", false)
	f.Add(atHeldConnect, ok, json, `[{"channel":"/a/b","data":null,"id":"3"},{"id":"$id","successful":false}]`, false)
	f.Add(atHeldConnect, ok, "Set-Cookie: a=\"b c\\\"; Path=/\nSet-Cookie: c=d\te; Max-Age=99999999999\nSet-Cookie: =x\n", `[{"channel":"/meta/connect","id":"$id","successful":true}]`, false)
	f.Add(atHeldConnect, ok, "", "", true)
	f.Fuzz(func(t *testing.T, at, status int, header, body string, stalls bool) {
		fuzzing.Watch(t)
		lines, err := textproto.NewReader(bufio.NewReader(strings.NewReader(header + "\n"))).ReadMIMEHeader()
		if err != nil || status < 100 || status > 999 {
			return // net/http itself refuses that
		}
		s := &stranger{t: t, at: (at%moments + moments) % moments, status: status, header: http.Header(lines), body: body, stalls: stalls}
		delivered := survive(t, func() []client.Option {
			s.subscribed = make(chan struct{}) // the bubble's
			return []client.Option{client.WithTransports(longpoll.NewDialer()), client.WithHTTPClient(&http.Client{Transport: s})}
		}, func() {})
		inOrder(t, []byte(body), delivered)
	})
}
