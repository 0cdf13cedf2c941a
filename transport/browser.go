package transport

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
)

const browserCookie = "BAYEUX_BROWSER"

// maxBrowser is how long a browser's cookie may be: a longer one is none of ours,
// nor of any server's, and each session would keep it.
const maxBrowser = 256

// Peer describes who sent r, for Acceptors: address, URL, the kept headers, and
// the browser's cookie. Without a cookie, or with one of more than 256 bytes,
// Browser is a new value, as NewBrowser makes it, and Fresh is set. The caller
// fills in Type, Once and Polled. Nothing of r's header but what is kept is held.
func (a *Accept) Peer(r *http.Request) *Peer {
	at, fits := a.keepURL(r.URL)
	header, all := a.keep(r.Header)
	if !fits || !all {
		a.Broke(r, LimitHeaderBytes)
	}
	p := &Peer{
		Addr:   r.RemoteAddr,
		URL:    at,
		Header: header,
		TLS:    r.TLS,
		Proto:  r.ProtoMajor,
	}
	if c, err := r.Cookie(a.cookieName()); err == nil && c.Value != "" && len(c.Value) <= maxBrowser {
		p.Browser = c.Value
	} else {
		p.Browser, p.Fresh = a.newBrowser(), true
	}
	return p
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
// Secure exactly when the request is: over TLS, or behind a proxy that says so
// in X-Forwarded-Proto if the template is Secure.
func (a *Accept) BrowserCookie(r *http.Request, p *Peer) *http.Cookie {
	c := http.Cookie{}
	if a.Cookie != nil {
		c = *a.Cookie
	}
	c.Name, c.Value, c.HttpOnly = a.cookieName(), p.Browser, true
	if c.Path == "" {
		c.Path = "/"
	}
	c.Secure = r.TLS != nil || c.Secure && r.Header.Get("X-Forwarded-Proto") == "https"
	return &c
}

func (a *Accept) cookieName() string {
	if a.Cookie == nil || a.Cookie.Name == "" {
		return browserCookie
	}
	return a.Cookie.Name
}

// keep picks the headers named in a.Headers, as many as there is room for, and
// reports whether that is all of them. It copies the values: those of a whole
// header lie in one block.
func (a *Accept) keep(h http.Header) (kept http.Header, all bool) {
	n := 0
	for _, name := range a.Headers {
		n += len(h[name])
	}
	kept, all = make(http.Header, min(n, 4)), true
	block, left := make([]string, 0, n), a.HeaderBytes
	for _, name := range a.Headers {
		v := h[name]
		if len(v) == 0 || kept[name] != nil {
			continue
		}
		size := 0
		for _, s := range v {
			size += len(name) + len(s)
		}
		if a.HeaderBytes > 0 && size > left {
			all = false
			continue
		}
		left -= size
		block = append(block, v...)
		kept[name] = block[len(block)-len(v) : len(block) : len(block)]
	}
	return kept, all
}

// keepURL gives u, or as much of it as there is room for.
func (a *Accept) keepURL(u *url.URL) (kept *url.URL, all bool) {
	path, query := len(u.Path)+len(u.RawPath), len(u.RawQuery)
	switch {
	case a.HeaderBytes <= 0 || path+query <= a.HeaderBytes:
		return u, true
	case path <= a.HeaderBytes:
		return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.Clone(u.Path), RawPath: strings.Clone(u.RawPath)}, false
	}
	return nil, false
}
