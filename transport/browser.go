package transport

import (
	"crypto/rand"
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
)

const browserCookie = "BAYEUX_BROWSER"

// maxBrowser is how long a browser's cookie may be: a longer one is none of ours,
// nor of any server's, and each session would keep it.
const maxBrowser = 256

// Peer describes who sent r, for Acceptors: address, URL, the kept headers, and
// the browser's cookie: of several of its name the first that is neither empty nor
// longer than 256 bytes. Without one Browser is a new value, as NewBrowser makes it,
// and Fresh is set. The caller fills in Type, Once and Polled. Nothing of r but what is
// kept is held: strings of it are copied, for they lie in the lines that they were
// read from.
func (a *Accept) Peer(r *http.Request) *Peer {
	at, short := a.keepURL(r.URL)
	header, all := a.keep(r.Header)
	state, named := keepTLS(r.TLS)
	if !short || !all || !named {
		a.Broke(r, LimitHeaderBytes)
	}
	p := &Peer{
		Addr:   strings.Clone(r.RemoteAddr),
		URL:    at,
		Header: header,
		TLS:    state,
		Proto:  r.ProtoMajor,
	}
	if p.Browser = a.browser(r); p.Browser == "" {
		p.Browser, p.Fresh = a.newBrowser(), true
	}
	return p
}

// browser is the first of r's cookies that may be ours, of which others may have set
// some that are not; "" if there is none.
func (a *Accept) browser(r *http.Request) string {
	for _, c := range r.CookiesNamed(a.cookieName()) {
		if c.Value != "" && len(c.Value) <= maxBrowser {
			return strings.Clone(c.Value)
		}
	}
	return ""
}

func (a *Accept) newBrowser() string {
	if a.NewBrowser != nil {
		return a.NewBrowser()
	}
	return rand.Text()
}

// BrowserCookie is the cookie that gives p its Browser value, as the template
// says. It is sent only to a Fresh peer: on an HTTP exchange with a Payload of
// Kind Handshake, on a WebSocket with the 101. It is always HttpOnly, and
// Secure over TLS and where the template is: without TLS that is for servers
// behind a proxy that ends it, and browsers take no such cookie elsewhere.
func (a *Accept) BrowserCookie(r *http.Request, p *Peer) *http.Cookie {
	c := http.Cookie{}
	if a.Cookie != nil {
		c = *a.Cookie
	}
	c.Name, c.Value, c.HttpOnly = a.cookieName(), p.Browser, true
	if c.Path == "" {
		c.Path = "/"
	}
	c.Secure = c.Secure || r.TLS != nil
	return &c
}

func (a *Accept) cookieName() string {
	if a.Cookie == nil || a.Cookie.Name == "" {
		return browserCookie
	}
	return a.Cookie.Name
}

// perValue is the memory of a value of a header beside its bytes.
const perValue = 16

// keep picks the headers named in a.Headers, as many as there is room for, and
// reports whether that is all of them. It copies the values: those of a whole
// header lie in one block.
func (a *Accept) keep(h http.Header) (kept http.Header, all bool) {
	all = true
	n, left := 0, a.HeaderBytes
	for _, name := range a.Headers {
		v := h[name]
		if len(v) == 0 || kept[name] != nil {
			continue
		}
		size := 0
		for _, s := range v {
			size += len(name) + len(s) + perValue
		}
		if a.HeaderBytes > 0 && size > left {
			all = false
			continue
		}
		if kept == nil {
			kept = make(http.Header, 4)
		}
		n, left = n+len(v), left-size
		kept[name] = v
	}
	block := make([]string, 0, n)
	for name, v := range kept {
		block = append(block, v...)
		kept[name] = block[len(block)-len(v) : len(block) : len(block)]
	}
	return kept, all
}

// keepURL gives u, or as much of it as there is room for, without the name and
// password that no client sends.
func (a *Accept) keepURL(u *url.URL) (kept *url.URL, all bool) {
	query, rest := len(u.RawQuery), len(u.Scheme)+len(u.Opaque)+len(u.Host)+len(u.Path)+len(u.RawPath)
	if a.HeaderBytes > 0 && rest > a.HeaderBytes {
		return nil, false
	}
	kept = &url.URL{
		Scheme: strings.Clone(u.Scheme), Opaque: strings.Clone(u.Opaque), Host: strings.Clone(u.Host),
		Path: strings.Clone(u.Path), RawPath: strings.Clone(u.RawPath), ForceQuery: u.ForceQuery,
	}
	if a.HeaderBytes > 0 && rest+query > a.HeaderBytes {
		return kept, false
	}
	kept.RawQuery = strings.Clone(u.RawQuery)
	return kept, true
}

// maxServerName is how long a host's name may be, in DNS.
const maxServerName = 253

// keepTLS gives t, without the name that the client has asked for where that is
// none.
func keepTLS(t *tls.ConnectionState) (kept *tls.ConnectionState, all bool) {
	if t == nil || len(t.ServerName) <= maxServerName {
		return t, true
	}
	short := *t
	short.ServerName = ""
	return &short, false
}
