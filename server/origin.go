package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/rs/cors"

	"github.com/gocometd/cometd/transport"
)

// originCheck keeps pages of other origins out, on every transport, and gives
// those that may come in the headers that their browser asks for
// (docs/protocol.md §9).
type originCheck struct {
	patterns []string
	headers  *cors.Cors
}

func newOriginCheck(patterns []string) originCheck {
	o := originCheck{patterns: patterns}
	o.headers = cors.New(cors.Options{
		AllowOriginVaryRequestFunc: func(r *http.Request, _ string) (bool, []string) { return o.allows(r), nil },
		AllowedMethods:             []string{http.MethodGet, http.MethodPost},
		AllowedHeaders:             []string{"*"},
		AllowCredentials:           true,
		MaxAge:                     600,
		OptionsSuccessStatus:       http.StatusOK,
	})
	return o
}

// foreignOrigin is what refusals of other origins are counted as, among limits.
const foreignOrigin = "origin"

// allowOrigin reports whether r may go on; if not it has been answered.
func (srv *Server) allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	if !srv.origin.allows(r) {
		srv.countForeignOrigin(r)
		srv.refuse(w, r, http.StatusForbidden, fmt.Sprintf("pages of this origin may not connect: %q", transport.Detail(r.Header.Get("Origin"))))
		return false
	}
	if r.Method == http.MethodOptions {
		srv.accept.BoundAnswer(w)
		leaveBody(w, r)
		w.Header().Set("Allow", "GET, POST, OPTIONS")
	}
	if r.Header.Get("Origin") != "" {
		srv.origin.headers.HandlerFunc(w, r) // which answers a browser's question, an OPTIONS with this header
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			return false
		}
	}
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusOK)
		return false
	}
	return true
}

// countForeignOrigin counts a request of a page that may not connect, and tells the log and
// the hook: it is either an attack on a visitor, or an origin that WithOrigins
// ought to name, or a proxy that does not let Host pass.
func (srv *Server) countForeignOrigin(r *http.Request) {
	says := func() line {
		return line{slog.LevelWarn, "page of another origin refused", []slog.Attr{
			slog.String("origin", transport.Detail(strings.Join(r.Header["Origin"], ", "))),
			slog.String("host", transport.Detail(r.Host)), slog.String("addr", r.RemoteAddr),
		}}
	}
	if news := srv.stats.count(&srv.stats.limited, foreignOrigin, says); news > 0 {
		says().tell(srv.log, news)
	}
	if f := srv.hooks.Limited; f != nil {
		f(foreignOrigin)
	}
}

// allows is true without an Origin: then it is not a page that asks.
func (o *originCheck) allows(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if len(r.Header["Origin"]) > 1 { // no browser sends two: which is true?
		return false
	}
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.User != nil {
		return false
	}
	bare := isOrigin(origin)
	if bare && sameOrigin(u, r) {
		return true
	}
	for _, p := range o.patterns {
		if p == "*" || bare && originMatches(p, origin) {
			return true
		}
	}
	return false
}

// isOrigin reports whether s is a scheme and a host and nothing else, as browsers
// say it: no path, query or fragment.
func isOrigin(s string) bool {
	_, host, ok := strings.Cut(s, "://")
	return ok && host != "" && !strings.ContainsAny(host, `/\?#`)
}

// sameOrigin reports whether a page comes from the host that it connects to,
// and by TLS if that is how it connects. Without TLS a proxy may have ended it,
// so that both schemes will do.
func sameOrigin(page *url.URL, r *http.Request) bool {
	if page.Host == "" || !strings.EqualFold(shortHost(page.Scheme, page.Host), shortHost(page.Scheme, r.Host)) {
		return false
	}
	return page.Scheme == "https" || page.Scheme == "http" && r.TLS == nil
}

// shortHost is host without the port that scheme has anyway: browsers leave it
// out, other clients and proxies may not.
func shortHost(scheme, host string) string {
	switch scheme {
	case "https":
		return strings.TrimSuffix(host, ":443")
	case "http":
		return strings.TrimSuffix(host, ":80")
	}
	return host
}

func originMatches(pattern, origin string) bool {
	scheme, host, wild := strings.Cut(strings.ToLower(pattern), "*.")
	origin = strings.ToLower(origin)
	if !wild {
		return scheme == origin
	}
	rest, ok := strings.CutPrefix(origin, scheme)
	return ok && strings.HasSuffix(rest, "."+host)
}

func checkOrigins(patterns []string) error {
	for _, p := range patterns {
		u, err := url.Parse(strings.Replace(p, "*.", "", 1))
		bad := err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || strings.Contains(u.Host, "*")
		if p != "*" && bad {
			return fmt.Errorf("server: not an origin such as https://example.com: %q", p)
		}
	}
	return nil
}
