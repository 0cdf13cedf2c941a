package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/gocometd/cometd/keypair"
	"github.com/gocometd/cometd/server"
)

// A web is the HTTP server around the mux.
type web struct{ http.Server }

// web's ReadTimeout and WriteTimeout are for requests that are not for Bayeux,
// and for the answers of net/http itself: the transports take them away.
func (s *serveCmd) web(h http.Handler, srv *server.Server, log *slog.Logger) *web {
	var w web
	w.Handler, w.ConnState = h, srv.ConnState
	w.ReadHeaderTimeout, w.ReadTimeout, w.IdleTimeout = s.header(), s.request(), s.idle()
	w.WriteTimeout = s.answer()
	w.HTTP2 = &http.HTTP2Config{WriteByteTimeout: max(s.write(), 0)} // else a peer that reads nothing there keeps all it has
	w.MaxHeaderBytes = cmp.Or(int(s.MaxHeader), 32<<10)
	w.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	return &w
}

// ownNames has a server that only this machine reaches take pages for its own
// only if they call it so. Whoever owns a name can let it lead to the loopback
// (DNS rebinding), and pages of that name would be of the same origin.
func ownNames(at net.Addr, h http.Handler) http.Handler {
	if tcp, ok := at.(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocal(r.Host) {
			nameless := *r
			nameless.Host, r = "", &nameless // of which no page is
		}
		h.ServeHTTP(w, r)
	})
}

// straight answers 404 where a path is not written in its shortest form. A
// ServeMux would redirect it, with a page of HTML that has the path in it.
func straight(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isShort(r.URL.Path) {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// isShort reports whether a path is in its shortest form, with or without a slash
// at its end.
func isShort(p string) bool {
	return strings.HasPrefix(p, "/") && strings.TrimSuffix(p, "/") == strings.TrimSuffix(path.Clean(p), "/")
}

// isLocal reports whether a Host is this machine for every resolver.
func isLocal(host string) bool {
	name := strings.TrimSuffix((&url.URL{Host: host}).Hostname(), ".")
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.IsLoopback() || strings.EqualFold(name, "localhost") || strings.HasSuffix(strings.ToLower(name), ".localhost")
}

// remnants is how long requests may take that are no client's, once the server
// has ended: what is there still is half a request, or a peer that does not read.
const remnants = time.Second

// farewell is what a server takes at most to end sockets that have been cut off.
const farewell = time.Second

// stop ends sockets and held polls, then the listener, and then what is left.
// Peers that do not let themselves be served to the end are no failure.
func (w *web) stop(grace time.Duration, srv *server.Server, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	clients, cancel := context.WithTimeout(ctx, grace-min(farewell, grace/2))
	defer cancel()
	err := srv.Shutdown(clients)
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warn("clients were cut off: they took what waits for them too slowly", slog.Duration("grace", grace))
		err = nil
	}
	ctx, cancel = context.WithTimeout(ctx, remnants)
	defer cancel()
	if w.Shutdown(ctx) != nil {
		_ = w.Close() // its listener has been closed by Shutdown
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// checkAddress refuses what is no HOST:PORT before anything is opened.
func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.DefaultResolver.LookupPort(context.Background(), "tcp", port)
	}
	if err != nil {
		return fmt.Errorf("--listen is %q, want HOST:PORT such as 127.0.0.1:8080: %w", address, err)
	}
	return nil
}

func (s *serveCmd) listen(ctx context.Context, log *slog.Logger) (net.Listener, error) {
	// Without the kernel's probes, which are four system calls for each
	// connection: every connection of ours is asked for something, or closed,
	// within the times of the server.
	ln, err := (&net.ListenConfig{KeepAlive: -1}).Listen(ctx, "tcp", s.Listen)
	if err != nil || s.TLSCert == "" {
		return ln, err
	}
	pair, err := keypair.Open(s.TLSCert, s.TLSKey, log)
	if err != nil {
		ln.Close()
		return nil, badUsage("--tls-cert and --tls-key: %w", err)
	}
	// HTTP/2 lifts the limit of held connects that a browser has on HTTP/1. For
	// a WebSocket, clients ask for HTTP/1.1 themselves.
	return tls.NewListener(ln, &tls.Config{GetCertificate: pair.GetCertificate, NextProtos: []string{"h2", "http/1.1"}}), nil
}

// address is a URL that works on this machine, also when every interface is
// listened on.
func (s *serveCmd) address(a net.Addr) string {
	scheme, host, port := "http", "127.0.0.1", 0
	if s.TLSCert != "" {
		scheme = "https"
	}
	if tcp, ok := a.(*net.TCPAddr); ok {
		port = tcp.Port
		if !tcp.IP.IsUnspecified() {
			host = tcp.IP.String()
		}
	}
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(port))
}
