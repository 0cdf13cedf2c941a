package client

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A visit is one request and what its answer sets.
type visit struct {
	url  string
	sets []string
	sent string // the Cookie header it must carry
}

// A site answers every request with the Set-Cookie headers given, and remembers
// the request's Cookie header.
type site struct {
	sets []string
	got  []string
}

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.got = r.Header["Cookie"]
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Set-Cookie": s.sets}, Body: http.NoBody, Request: r}, nil
}

// endpointAt is the endpoint of a client whose requests all go to s.
func endpointAt(t *testing.T, address string, s *site, opts ...Option) *endpoint {
	t.Helper()
	cfg, err := newConfig(append(opts, WithTransports(board(newFake(), streams)), WithHTTPClient(&http.Client{Transport: s})))
	require.NoError(t, err)
	e, err := newEndpoint(address, cfg)
	require.NoError(t, err)
	return e
}

// visit makes a request, and returns its Cookie header.
func (s *site) visit(t *testing.T, e *endpoint, address string, sets ...string) string {
	t.Helper()
	s.sets = sets
	resp, err := e.http.Post(address, "application/json", strings.NewReader("[]"))
	require.NoError(t, err)
	resp.Body.Close()
	return strings.Join(s.got, "\n")
}

// A server finds each cookie as it wrote it, whatever it wrote.
func TestCookiesAreReturnedVerbatim(t *testing.T) {
	pairs := []string{
		`plain=abc==`, `q="quoted v"`, `comma=a,b`, `space=a b`, `back=a\b`, `pct=a%20b`, `json={"a":1}`, `utf=é`, `latin=` + "\xe9",
		`brk=[x]`, `empty=`, `odd name=1`, `lone="`, `t=1~2|3`,
	}
	s := &site{}
	e := endpointAt(t, "https://host/cometd", s, WithCookies(&http.Cookie{Name: "mine", Value: `a,b "c"`}, &http.Cookie{Name: "quoted", Value: "x y", Quoted: true}))
	var sets []string
	for _, p := range pairs {
		sets = append(sets, p+"; Path=/; Secure; HttpOnly; SameSite=None; Partitioned")
	}
	assert.Equal(t, `mine=a,b "c"; quoted="x y"`, s.visit(t, e, "https://host/cometd", sets...))
	assert.Equal(t, `mine=a,b "c"; quoted="x y"; `+strings.Join(pairs, "; "), s.visit(t, e, "https://host/cometd/connect"))
}

// RFC 6265 §5.3 and §5.4, in the order of the visits.
func TestCookiesKeepToTheirScope(t *testing.T) {
	const far, past = "Fri, 01 Jan 2100 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"
	for name, visits := range map[string][]visit{
		"path":             {{"http://h/a/b", []string{"x=1; Path=/a"}, ""}, {"http://h/a", nil, "x=1"}, {"http://h/a/c", nil, "x=1"}, {"http://h/ab", nil, ""}, {"http://h/", nil, ""}},
		"default path":     {{"http://h/a/b", []string{"x=1"}, ""}, {"http://h/a/c", nil, "x=1"}, {"http://h/a", nil, "x=1"}, {"http://h/", nil, ""}},
		"no path":          {{"http://h", []string{"x=1"}, ""}, {"http://h/a", nil, "x=1"}},
		"relative path":    {{"http://h/a/b", []string{"x=1; Path=c"}, ""}, {"http://h/a/c", nil, "x=1"}},
		"longer first":     {{"http://h/a/b", []string{"x=1; Path=/", "y=2; Path=/a", "z=3; Path=/"}, ""}, {"http://h/a/b", nil, "y=2; x=1; z=3"}},
		"host":             {{"http://h.org/", []string{"x=1"}, ""}, {"http://a.h.org/", nil, ""}, {"http://H.org:8080/", nil, "x=1"}},
		"domain":           {{"http://a.h.org/", []string{"x=1; Domain=.H.org"}, ""}, {"http://b.h.org/", nil, "x=1"}, {"http://h.org/", nil, "x=1"}, {"http://ah.org/", nil, ""}},
		"another's domain": {{"http://a.org/", []string{"x=1; Domain=b.org", "y=2; Domain=org", "z=3; Domain=c.a.org"}, ""}, {"http://b.org/", nil, ""}, {"http://a.org/", nil, ""}},
		"address":          {{"http://127.0.0.1/", []string{"x=1; Domain=127.0.0.1", "y=2; Domain=0.0.1"}, ""}, {"http://127.0.0.1/", nil, "x=1"}},
		"secure":           {{"https://h/", []string{"x=1; Secure"}, ""}, {"http://h/", nil, ""}, {"https://h/", nil, "x=1"}},
		"replaced":         {{"http://h/", []string{"x=1", "y=2"}, ""}, {"http://h/", []string{"x=3"}, "x=1; y=2"}, {"http://h/", nil, "x=3; y=2"}},
		"deleted":          {{"http://h/", []string{"x=1", "y=2"}, ""}, {"http://h/", []string{"x=; Max-Age=0", "y=; Expires=" + past}, "x=1; y=2"}, {"http://h/", nil, ""}},
		"kept":             {{"http://h/", []string{"x=1; Max-Age=60; Expires=" + past, "y=2; Expires=" + far}, ""}, {"http://h/", nil, "x=1; y=2"}},
		"not cookies":      {{"http://h/", []string{"", "x", "=1", "; Path=/", "a=b\x00", "a\x7f=b", "a=" + strings.Repeat("x", maxCookieSize)}, ""}, {"http://h/", nil, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &site{}
			e := endpointAt(t, "http://unrelated/", s)
			for _, v := range visits {
				assert.Equal(t, v.sent, s.visit(t, e, v.url, v.sets...), v.url)
			}
		})
	}
}

func TestCookiesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{}
		e := endpointAt(t, "http://h/", s)
		s.visit(t, e, "http://h/", "x=1; Max-Age=60", "y=2")
		time.Sleep(time.Minute)
		assert.Equal(t, "y=2", s.visit(t, e, "http://h/"))
	})
}

// A server that sets ever more cookies gets the newest back, and the user's
// stay.
func TestCookiesAreBounded(t *testing.T) {
	s := &site{}
	e := endpointAt(t, "http://h/", s, WithCookies(&http.Cookie{Name: "mine", Value: "1"}))
	for i := range 3 * maxCookies {
		s.visit(t, e, "http://h/", fmt.Sprintf("c%d=1", i))
	}
	sent := strings.Split(s.visit(t, e, "http://h/"), "; ")
	assert.Len(t, sent, maxCookies)
	assert.Equal(t, "mine=1", sent[0])
	assert.Equal(t, fmt.Sprintf("c%d=1", 3*maxCookies-1), sent[len(sent)-1])
	for i := range maxCookies {
		s.visit(t, e, "http://h/", fmt.Sprintf("d%d=%s", i, strings.Repeat("x", 4000)))
	}
	line := s.visit(t, e, "http://h/")
	assert.LessOrEqual(t, len(line), maxCookieBytes+len("=; ")*maxCookies)
	assert.Contains(t, line, "mine=1")
	assert.Contains(t, line, fmt.Sprintf("d%d=", maxCookies-1))
	assert.Equal(t, e.jar.bytes, func() (n int) {
		for _, c := range e.jar.kept {
			n += len(c.name) + len(c.value)
		}
		return n
	}())
}

// Absolute base paths lie anywhere on the host.
func TestTheUsersCookiesReachEveryPath(t *testing.T) {
	s := &site{}
	e := endpointAt(t, "http://h/notifications/app/", s, WithHeader("Cookie", "header=1"),
		WithCookies(&http.Cookie{Name: "sid", Value: "1"}, &http.Cookie{Name: "below", Value: "2", Path: "/node"}))
	assert.Equal(t, "sid=1", s.visit(t, e, "http://h/elsewhere/connect"))
	assert.Equal(t, "below=2; sid=1", s.visit(t, e, "http://h/node/0/handshake"))
	assert.Equal(t, "", s.visit(t, e, "http://other/"))
	r, err := http.NewRequest(http.MethodPost, "http://h/", nil)
	require.NoError(t, err)
	r.Header = e.cfg.header.Clone()
	_, err = e.http.Do(r)
	require.NoError(t, err)
	assert.Equal(t, []string{"header=1; sid=1"}, s.got)
	assert.Equal(t, "header=1", r.Header.Get("Cookie"), "the request is not changed")
}

func TestEachClientHasItsCookies(t *testing.T) {
	s := &site{}
	e := endpointAt(t, "http://host/cometd", s, WithCookies(&http.Cookie{Name: "mine", Value: "1"}))
	s.visit(t, e, "http://host/cometd", "theirs=2; Path=/")
	assert.Equal(t, "mine=1; theirs=2", s.visit(t, e, "http://host/cometd"))
	assert.Equal(t, "", s.visit(t, endpointAt(t, "http://host/cometd", s), "http://host/cometd"))
	e.forgetCookies()
	assert.Equal(t, "mine=1", s.visit(t, e, "http://host/cometd"), "a fresh start keeps the user's own")
}

// noJar is a user's own.
type noJar struct{ set []string }

func (j *noJar) Cookies(*url.URL) []*http.Cookie { return nil }
func (j *noJar) SetCookies(_ *url.URL, cookies []*http.Cookie) {
	for _, c := range cookies {
		j.set = append(j.set, c.Name)
	}
}

func TestAJarThatComesWithTheHTTPClientIsUsed(t *testing.T) {
	s, own := &site{}, &noJar{}
	theirs := &http.Client{Transport: s, Jar: own}
	cfg, err := newConfig([]Option{WithTransports(board(newFake(), streams)), WithHTTPClient(theirs), WithCookies(&http.Cookie{Name: "mine", Value: "1"})})
	require.NoError(t, err)
	e, err := newEndpoint("http://host/cometd", cfg)
	require.NoError(t, err)
	assert.Equal(t, "", s.visit(t, e, "http://host/cometd", "theirs=2"))
	assert.Equal(t, []string{"mine", "theirs"}, own.set)
	assert.Same(t, s, theirs.Transport, "the user's http.Client is not changed")
}
