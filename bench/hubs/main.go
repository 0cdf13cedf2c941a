package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gocometd/cometd/bench/internal/certificate"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:9010", "listen address; port 0 picks one")
	lib := flag.String("lib", "raw", "raw (net.Conn and frames of our own) or coder (github.com/coder/websocket)")
	opt := flag.String("opt", "", "queue (a goroutine per session writes one message at a time), qarray (all of its queue at once); none: who publishes writes to everybody")
	mode := flag.String("mode", "inline", "inline is the only one")
	blast := flag.Int("blast", 0, "be no hub, but send every client that subscribes events without end, so many in a frame")
	secure := flag.Bool("tls", false, "speak TLS")
	flag.Parse()
	if *mode != "inline" {
		fmt.Fprintf(os.Stderr, "hubs: -mode is %q, want inline\n", *mode)
		os.Exit(2)
	}
	if err := serve(*addr, *lib, *opt, *blast, *secure); err != nil {
		fmt.Fprintln(os.Stderr, "hubs:", err)
		os.Exit(1)
	}
}

func serve(addr, lib, opt string, blast int, secure bool) error {
	ln, err := listen(addr, secure)
	if err != nil {
		return err
	}
	fmt.Println("ready", ln.Addr())
	h := newHub(opt)
	h.blast = blast
	return h.serve(ln, lib)
}

func listen(addr string, secure bool) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil || !secure {
		return ln, err
	}
	cert, err := certificate.New()
	if err != nil {
		return nil, err
	}
	return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}}), nil
}

// serve returns when ln is closed.
func (h *hub) serve(ln net.Listener, lib string) error {
	switch lib {
	case "raw":
		return h.serveRaw(ln)
	case "coder":
		web := &http.Server{Handler: http.HandlerFunc(h.acceptCoder), ReadHeaderTimeout: 10 * time.Second}
		return web.Serve(ln)
	}
	return fmt.Errorf("-lib is %q, want raw or coder", lib)
}

// wrap gives s the queue that opt asks for. stop ends what that started.
func wrap(s subscriber, opt string) (wrapped subscriber, stop func()) {
	switch {
	case strings.Contains(opt, "qarray"):
		g := newGathered(s)
		return g, g.end
	case strings.Contains(opt, "queue"):
		q := newQueued(s)
		return q, q.end
	}
	return s, func() {}
}
