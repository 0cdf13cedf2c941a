package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An exchange of a transcript over HTTP.
type exchange struct {
	name   string
	status int
	header http.Header
	body   string
	done   chan struct{}
}

func TestTheTranscriptsOfHTTPReplay(t *testing.T) {
	for file, jars := range map[string]map[string]string{
		"http.txt": {"11qarptys7592t2v28a2w9fiay": "a"},
		"duplicates-kick-browser-expiry.txt": {
			"71dp32osgowhk21ms6y8vuybd7h": "a", "818uxfmkehlj43i5de8edkxjfl": "b",
			"97c5y85cwjoy1mdbsat1vpsm3": "tabs", "": "tabs", "bbozwg1szhi9gu9v8nb6427ka": "e",
		},
	} {
		t.Run(file, func(t *testing.T) {
			r := newReplay(t, file, served())
			for theirs, jar := range jars {
				if theirs != "" {
					r.fresh(theirs, jar)
				}
			}
			if file != "http.txt" {
				r.post("tabs", `[{"channel":"/meta/connect","id":"0","clientId":"97c5y85cwjoy1mdbsat1vpsm3"}]`, "application/json")
			}
			r.replayHTTP(jars)
		})
	}
}

func (r *replay) replayHTTP(jars map[string]string) {
	open := map[string]*exchange{}
	name := ""
	lines := r.lines()
	for i, line := range lines {
		switch kind, rest, _ := strings.Cut(line, " "); kind {
		case "#":
			name = rest
		case ">":
			if strings.HasPrefix(name, "after expiry") {
				require.Eventually(r.t, func() bool { return r.srv.Session(r.ids["bbozwg1szhi9gu9v8nb6427ka"]) == nil }, 10*time.Second, 10*time.Millisecond)
			}
			e := r.start(name, rest, jars)
			open[e.name] = e
		case "<":
			e := open[rest[1:strings.Index(rest, "]")+strings.Count(rest[1:strings.Index(rest, "]")], "[")]]
			if e == nil { // the name has brackets itself
				for n, x := range open {
					if strings.HasPrefix(rest, "["+n+"] ") {
						e = x
					}
				}
			}
			require.NotNil(r.t, e, line)
			r.check(e, line, strings.TrimSpace(lines[i+1]))
		case http.MethodGet, http.MethodPut, http.MethodOptions, "jsonp":
			r.bare(kind, rest)
		}
	}
}

// bare replays a request that is no POST: the line has its method, or what kind
// of callback-polling it is, and what it was answered with.
func (r *replay) bare(kind, want string) {
	method, query := kind, ""
	if kind == "jsonp" {
		name := "cb.x"
		if other, bad := strings.CutPrefix(want, "bad cb "); bad {
			name, want = "alert(1)", other
		}
		method = http.MethodGet
		query = "?" + url.Values{"jsonp": {name}, "message": {`[{"channel":"/meta/handshake","id":"1","version":"1.0"}]`}}.Encode()
	}
	req, _ := http.NewRequestWithContext(r.t.Context(), method, r.http.URL+query, nil)
	resp, err := r.client("nobody").Do(req)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	status, rest, _ := strings.Cut(want, " ")
	assert.Equal(r.t, status, fmt.Sprint(resp.StatusCode), kind)
	contentType, script, ok := strings.Cut(rest, " ")
	if !ok {
		return
	}
	assert.Equal(r.t, contentType, resp.Header.Get("Content-Type"))
	r.same(r.called(script), r.called(string(body)), kind)
}

// called is what a script calls the function of its page with.
func (r *replay) called(script string) []message {
	require.True(r.t, strings.HasPrefix(script, "cb.x(") && strings.HasSuffix(script, ")"), script)
	return parse(r.t, script[len("cb.x("):len(script)-1])
}

// start sends a request; one that is held goes on meanwhile.
func (r *replay) start(name, payload string, jars map[string]string) *exchange {
	name, cookieless := strings.CutSuffix(name, " (no cookie)")
	jar := "a"
	for theirs, j := range jars {
		if theirs == "" && !strings.Contains(payload, "clientId") || theirs != "" && strings.Contains(payload, theirs) {
			jar = j
		}
	}
	if strings.Contains(payload, "a1fpxgcp2zqwn914c4edp5ebqwn") {
		jar = "tabs"
		r.post(jar, `[{"channel":"/meta/connect","id":"0","clientId":"a1fpxgcp2zqwn914c4edp5ebqwn"}]`, "application/json")
	}
	if cookieless {
		jar = "nobody"
	}
	contentType := map[string]string{"no content-type": "", "form": "application/x-www-form-urlencoded"}
	ct, special := contentType[name]
	if !special {
		ct = "application/json;charset=UTF-8"
	}
	e := &exchange{name: name, done: make(chan struct{})}
	payload = r.ours(payload)
	go func() {
		defer close(e.done)
		e.status, e.header, e.body = r.post(jar, payload, ct)
	}()
	if strings.HasPrefix(name, "held") || name == "dup c2" || name == "d again" {
		id := parse(r.t, payload)[0]["id"].(string)
		r.do("! held " + id)
		return e
	}
	<-e.done
	return e
}

func (r *replay) check(e *exchange, line, body string) {
	<-e.done
	fields := strings.Fields(line[strings.Index(line, "] ")+2:])
	b, improved := better[e.name]
	wantStatus := fields[0]
	var want []message
	switch {
	case improved:
		wantStatus = fmt.Sprint(b.status)
		want = parse(r.t, "["+strings.Join(b.want, ",")+"]")
	case strings.HasPrefix(body, "["):
		want = parse(r.t, body)
	}
	assert.Equal(r.t, wantStatus, fmt.Sprint(e.status), "%s %s: %s", e.name, b.why, e.body)
	assert.Equal(r.t, strings.Contains(line, "BAYEUX_BROWSER") || e.name == "hs + other msg", e.header.Get("Set-Cookie") != "", e.name)
	if e.status == http.StatusOK {
		assert.True(r.t, strings.HasPrefix(e.header.Get("Content-Type"), "application/json"))
		r.same(want, parse(r.t, e.body), e.name)
		return
	}
	assert.NotContains(r.t, e.header.Get("Content-Type"), "html")
	assert.Less(r.t, len(bytes.TrimSpace([]byte(e.body))), 200)
}
