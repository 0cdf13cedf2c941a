// Command tls is a server on the open internet: TLS with certificates that are
// read again when their files change, limits on what HTTP itself allows, and a
// gentle end.
//
//	go run ./examples/tls -listen :8443 -cert fullchain.pem -key privkey.pem -origin https://www.example.com
//
// An ACME client may replace the files at any time: connections that are open
// stay open, and the next one gets the new certificate. A broken pair of files
// is told to the log, and the old one stays.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/keypair"
	"github.com/gocometd/cometd/server"
)

func main() {
	listen := flag.String("listen", ":8443", "`address` to listen on")
	cert := flag.String("cert", "cert.pem", "`file` with the certificate and its chain")
	key := flag.String("key", "key.pem", "`file` with the key")
	origin := flag.String("origin", "", "`origin` of pages that may connect, beside the server's own")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	if err := run(ctx, ln, *cert, *key, *origin, slog.Default()); err != nil {
		log.Fatal(err)
	}
}

// run serves on ln until ctx ends.
func run(ctx context.Context, ln net.Listener, cert, key, origin string, logger *slog.Logger) error {
	defer ln.Close()
	pair, err := keypair.Open(cert, key, logger)
	if err != nil {
		return err
	}
	opts := []server.Option{server.WithLogger(logger)}
	if origin != "" {
		opts = append(opts, server.WithOrigins(origin))
	}
	srv, err := cometd.NewServer(opts...)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	srv.Mount(mux, "/cometd")
	hs := &http.Server{
		Handler: mux,
		// ReadTimeout and WriteTimeout are for requests that are not for the
		// server, such as those to unknown paths, and for what net/http says
		// itself: neither has a limit else. Bodies, writes and held requests of
		// the server have their own, in server.Limits, which take their place.
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       time.Minute,
		// Over HTTP/2 a peer that reads nothing of its connection is given up
		// by this alone.
		HTTP2:          &http.HTTP2Config{WriteByteTimeout: 10 * time.Second},
		ConnState:      srv.ConnState,
		MaxHeaderBytes: 32 << 10,
		TLSConfig:      &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.GetCertificate},
		ErrorLog:       slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- hs.ServeTLS(ln, "", "") }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	return errors.Join(err, shutdown(srv, hs))
}

// shutdown lets clients have what waits for them, and tells them to come back
// at different times. What is left then is no client: connections on which
// nothing was asked, or half of it.
func shutdown(srv *server.Server, hs *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := srv.Shutdown(ctx)
	ctx, cancel = context.WithTimeout(ctx, time.Second)
	defer cancel()
	if hs.Shutdown(ctx) != nil {
		hs.Close()
	}
	return err
}
