package client

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gocometd/cometd/internal/lock"
)

// What a jar holds at most. Browsers keep fewer and shorter ones for a host.
const (
	maxCookies     = 256
	maxCookieBytes = 64 << 10 // of all names and values
	maxCookieSize  = 8 << 10  // of one's
)

// A jar is the cookies of one client, and the RoundTripper that sends and takes
// them. It gives values back byte for byte, which the http.Client's own jar does
// not: that one quotes, and drops what RFC 6265 §4.1.1 tells servers not to send
// but some do (docs/protocol.md §17).
type jar struct {
	through http.RoundTripper
	url     *url.URL
	seed    []*http.Cookie // the user's

	mu    lock.Mutex[lock.Jar]
	kept  []cookie // in the order of their making
	bytes int
}

// A cookie is one as RFC 6265 §5.3 keeps it.
type cookie struct {
	name, value  string // verbatim
	domain, path string
	alone        bool      // domain is the one host, not those below it
	secure       bool      // for https only
	expires      time.Time // zero: with the client
	seed         bool      // the user's
}

// RoundTrip adds the cookies to those of the user's own Cookie header.
func (j *jar) RoundTrip(r *http.Request) (*http.Response, error) {
	if line := j.line(r.URL); line != "" {
		r = r.WithContext(r.Context()) // a copy, because a RoundTripper changes no request
		r.Header = r.Header.Clone()
		r.Header.Set("Cookie", strings.Join(append(r.Header["Cookie"], line), "; "))
	}
	resp, err := j.through.RoundTrip(r)
	if err == nil {
		for _, line := range resp.Header["Set-Cookie"] {
			if c, ok := readCookie(line); ok {
				j.set(r.URL, c)
			}
		}
	}
	return resp, err
}

// reset forgets all cookies but the user's.
func (j *jar) reset() {
	j.mu.Lock()
	j.kept, j.bytes = nil, 0
	j.mu.Unlock()
	for _, c := range j.seed {
		own := cookieOf(c)
		own.seed = true
		j.set(j.url, own)
	}
}

// line is the value of the Cookie header of a request to u, "" for none.
func (j *jar) line(u *url.URL) string {
	var b strings.Builder
	for _, c := range j.to(u) {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(c.name + "=" + c.value)
	}
	return b.String()
}

// to is the cookies of a request to u: those of longer paths first, then the
// older ones.
func (j *jar) to(u *url.URL) []cookie {
	host, path, now := hostOf(u), cmp.Or(u.Path, "/"), time.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drop(func(c cookie) bool { return c.over(now) })
	var found []cookie
	for _, c := range j.kept {
		if c.reaches(host, path) && (!c.secure || u.Scheme == "https") {
			found = append(found, c)
		}
	}
	slices.SortStableFunc(found, func(a, b cookie) int { return cmp.Compare(len(b.path), len(a.path)) })
	return found
}

// set keeps c, which the answer to a request to u brought, instead of one of
// the same name, domain and path. The oldest go when there are too many.
func (j *jar) set(u *url.URL, c cookie) {
	if !c.settle(u) || len(c.name)+len(c.value) > maxCookieSize {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	same := func(old cookie) bool { return old.name == c.name && old.domain == c.domain && old.path == c.path }
	i := slices.IndexFunc(j.kept, same)
	switch {
	case c.over(time.Now()):
		j.drop(same)
		return
	case i >= 0:
		j.bytes += len(c.value) - len(j.kept[i].value)
		j.kept[i] = c
	default:
		j.bytes += len(c.name) + len(c.value)
		j.kept = append(j.kept, c)
	}
	for len(j.kept) > maxCookies || j.bytes > maxCookieBytes {
		oldest := slices.IndexFunc(j.kept, func(c cookie) bool { return !c.seed })
		if oldest < 0 {
			return
		}
		j.bytes -= len(j.kept[oldest].name) + len(j.kept[oldest].value)
		j.kept = slices.Delete(j.kept, oldest, oldest+1)
	}
}

// drop forgets cookies. Called with mu held.
func (j *jar) drop(which func(cookie) bool) {
	j.kept = slices.DeleteFunc(j.kept, func(c cookie) bool {
		gone := which(c)
		if gone {
			j.bytes -= len(c.name) + len(c.value)
		}
		return gone
	})
}

// settle fills in what u says about c, and reports whether u's host may set it
// (RFC 6265 §5.3).
func (c *cookie) settle(u *url.URL) bool {
	host := hostOf(u)
	c.domain = strings.ToLower(strings.TrimPrefix(c.domain, "."))
	switch {
	case c.domain == "", c.domain == host:
		c.alone = c.domain == "" || net.ParseIP(host) != nil || !strings.Contains(host, ".")
		c.domain = host
	case !below(host, c.domain) || !strings.Contains(c.domain, "."):
		return false
	}
	if !strings.HasPrefix(c.path, "/") {
		c.path = u.Path[:max(strings.LastIndexByte(u.Path, '/'), 0)]
	}
	c.path = cmp.Or(c.path, "/")
	return true
}

// reaches reports whether c is for a request to path at host.
func (c *cookie) reaches(host, path string) bool {
	if host != c.domain && (c.alone || !below(host, c.domain)) {
		return false
	}
	rest, ok := strings.CutPrefix(path, c.path)
	return ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(c.path, "/"))
}

func (c *cookie) over(now time.Time) bool { return !c.expires.IsZero() && !c.expires.After(now) }

// below reports whether host lies in domain.
func below(host, domain string) bool {
	return strings.HasSuffix(host, "."+domain) && net.ParseIP(host) == nil
}

func hostOf(u *url.URL) string { return strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")) }

// readCookie reads a Set-Cookie header. net/http reads its attributes, but not
// the pair, which it would change.
func readCookie(line string) (cookie, bool) {
	pair, attributes, _ := strings.Cut(line, ";")
	name, value, ok := strings.Cut(pair, "=")
	name, value = strings.Trim(name, " \t"), strings.Trim(value, " \t")
	if !ok || checkCookie(name, value) != nil {
		return cookie{}, false
	}
	parsed, err := http.ParseSetCookie("n=v;" + attributes)
	if err != nil {
		return cookie{}, false
	}
	c := cookieOf(parsed)
	c.name, c.value = name, value
	return c, true
}

// cookieOf is c as a jar keeps it.
func cookieOf(c *http.Cookie) cookie {
	own := cookie{name: c.Name, value: c.Value, domain: c.Domain, path: c.Path, secure: c.Secure, expires: c.Expires}
	if c.Quoted {
		own.value = `"` + c.Value + `"`
	}
	switch {
	case c.MaxAge > 0:
		own.expires = time.Now().Add(time.Duration(min(c.MaxAge, 1<<30)) * time.Second)
	case c.MaxAge < 0:
		own.expires = time.Unix(1, 0)
	}
	return own
}

// checkCookie says why a pair cannot stand in a Cookie header. Everything else
// may, whatever RFC 6265 §4.1.1 asks of servers.
func checkCookie(name, value string) error {
	control := func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
	if name == "" || strings.ContainsAny(name, "=;") || strings.ContainsFunc(name, control) {
		return fmt.Errorf("client: illegal cookie name %q", name)
	}
	if strings.Contains(value, ";") || strings.ContainsFunc(value, control) {
		return fmt.Errorf("client: value of the cookie %q holds a semicolon or a control character", name) // a secret
	}
	return nil
}

// SetCookies and Cookies make a jar an http.CookieJar for transports that are
// not HTTP, such as transport/memory.
func (j *jar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	for _, c := range cookies {
		j.set(u, cookieOf(c))
	}
}

// Cookies are those of a request to u.
func (j *jar) Cookies(u *url.URL) (cookies []*http.Cookie) {
	for _, c := range j.to(u) {
		cookies = append(cookies, &http.Cookie{Name: c.name, Value: c.value})
	}
	return cookies
}
