package transport

import (
	"crypto/rand"
	"net/http"
)

const browserCookie = "BAYEUX_BROWSER"

// Peer describes who sent r, for Acceptors: address, URL, the kept headers, and
// the browser's cookie. Without a cookie Browser is a new value, as NewBrowser
// makes it, and Fresh is set. The caller fills in Type, Once and Polled.
func (a *Accept) Peer(r *http.Request) *Peer {
	p := &Peer{
		Addr:   r.RemoteAddr,
		URL:    r.URL,
		Header: a.keep(r.Header),
		TLS:    r.TLS,
		Proto:  r.ProtoMajor,
	}
	if c, err := r.Cookie(a.cookieName()); err == nil && c.Value != "" {
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

// keep picks the headers named in a.Headers; the values are shared with h.
func (a *Accept) keep(h http.Header) http.Header {
	kept := make(http.Header, 4)
	for _, name := range a.Headers {
		if v, ok := h[name]; ok {
			kept[name] = v
		}
	}
	return kept
}
