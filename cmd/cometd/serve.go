package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/cmd/cometd/chat"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/ext/once/onceserver"
	"github.com/gocometd/cometd/ext/timestamp/timestampserver"
	"github.com/gocometd/cometd/ext/timesync/timesyncserver"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsserver"
)

type serveCmd struct {
	Listen      string        `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to listen; port 0 picks one. Default: ${default}."`
	Path        string        `default:"/cometd" help:"Where Bayeux is; the paths below it too. Default: ${default}."`
	Transports  []string      `default:"websocket,long-polling" enum:"websocket,long-polling,callback-polling" placeholder:"TYPE" help:"What clients may use, best first. Default: ${default}; callback-polling only when named."`
	AllowOrigin []string      `placeholder:"ORIGIN" help:"Let pages of this origin in, such as https://example.org or https://*.example.org; may be repeated. Default: the server's own; where --listen is the loopback, of localhost alone."`
	Chat        bool          `default:"true" negatable:"" help:"Serve the chat page at /. Default: yes."`
	TLSCert     string        `name:"tls-cert" type:"existingfile" and:"tls" placeholder:"FILE" help:"Speak TLS, with this certificate (PEM, its chain behind it). The files are read again when they change."`
	TLSKey      string        `name:"tls-key" type:"existingfile" and:"tls" placeholder:"FILE" help:"The certificate's key (PEM)."`
	Compress    size          `placeholder:"BYTES" help:"Compress WebSocket payloads of this size and more, such as 1KiB, for clients that can (permessage-deflate). It costs CPU. Default: never."`
	Extensions  []string      `default:"ack,timesync" enum:"ack,timesync,once,timestamp" placeholder:"NAME" help:"Extensions for clients that ask for them, of ack, timesync and once (which costs each publish a little), and timestamp, which is on all replies of sessions. Default: ${default}."`
	LogLevel    slog.Level    `default:"warn" placeholder:"LEVEL" help:"What to log to stderr: debug, info, warn or error. Default: ${default}."`
	Pprof       string        `placeholder:"HOST:PORT" help:"Serve Go's profiles of this process at /debug/pprof/ there, an address of the loopback. Default: nowhere."`
	Grace       time.Duration `default:"10s" help:"How long a stop may take; who takes longer is cut off. Default: ${default}."`

	history `group:"History:"`
	timing  `group:"Timing (0s is the default, -1s is no time at all: --max-pause=-1s):"`
	limits
	tolerate `group:"Clients:"`
}

// timing is what a client notices of time.
type timing struct {
	Timeout     time.Duration `default:"20s" help:"How long a /meta/connect is held. Default: ${default}."`
	Interval    time.Duration `default:"0s" help:"How long clients pause between two of them. Default: ${default}."`
	MaxInterval time.Duration `default:"10s" help:"How long a session outlives its connection. Default: ${default}."`
	MaxPause    time.Duration `default:"2m" help:"The longest pause that a client may ask for, and its session then outlives its connection by as well. Default: ${default}."`
}

// tolerate is how strict the server is about who speaks to it.
type tolerate struct {
	SimpleClients          bool `help:"Deliver with connect replies only, for clients that look nowhere else (gobayeux, cometd-client)."`
	StrictHandshake        bool `help:"Refuse a handshake of another version, or without a transport in common."`
	HandshakePerConnection bool `help:"Let no session continue on another WebSocket."`
}

func (s *serveCmd) Help() string {
	return `It prints one line, "listening on http://HOST:PORT", once it is ready. /service/echo answers a caller
with the caller's own data. SIGTERM and SIGINT stop it: clients are told, then connections are closed.`
}

// AfterApply refuses what no server could be made of.
func (s *serveCmd) AfterApply(k *kong.Context) error {
	switch {
	case !isPath(s.Path):
		return fmt.Errorf("--path is %q, want a path such as /cometd", s.Path)
	case s.Path == "/" && s.Chat:
		return errors.New("--path is \"/\", where the chat page is: add --no-chat")
	case len(s.Transports) == 0:
		return errors.New("--transports is empty, want one of websocket, long-polling and callback-polling at least")
	}
	s.Path = "/" + strings.Trim(s.Path, "/")
	for _, flag := range []struct {
		name string
		n    int
	}{{"--compress", int(s.Compress)}, {"--max-callback", s.MaxCallback}, {"--max-header", int(s.MaxHeader)}} {
		if flag.n < 0 {
			return fmt.Errorf("%s is %d, want a positive number", flag.name, flag.n)
		}
	}
	switch {
	case s.Compress > 0 && !slices.Contains(s.Transports, "websocket"):
		return errors.New("--compress is of no use without websocket in --transports")
	case s.MaxCallback > 0 && !slices.Contains(s.Transports, "callback-polling"):
		return errors.New("--max-callback is of no use without callback-polling in --transports")
	}
	for i, name := range s.Extensions {
		if slices.Contains(s.Extensions[:i], name) {
			return fmt.Errorf("--extensions has %s twice", name)
		}
	}
	if s.Pprof != "" {
		if err := checkProfiles(s.Pprof); err != nil {
			return err
		}
	}
	if err := s.history.check(k.Path); err != nil {
		return err
	}
	return checkAddress(s.Listen)
}

// isPath reports whether requests can come for p.
func isPath(p string) bool {
	strange := func(r rune) bool { return unicode.IsControl(r) || strings.ContainsRune("{}?# ", r) }
	return isShort(p) && !strings.ContainsFunc(p, strange)
}

func (s *serveCmd) Run(ctx context.Context, tty console) (err error) {
	log := newLogger(tty.err, s.LogLevel)
	past, forget, err := s.history.open(s.Chat, log)
	if err != nil {
		return err
	}
	defer func() {
		if e := forget(); err == nil && e != nil {
			err = fmt.Errorf("--history: %w", e)
		}
	}()
	srv, err := s.server(log, past)
	if err != nil {
		return usageError{err}
	}
	defer srv.Close()

	ln, err := s.listen(ctx, log)
	if err != nil {
		return err
	}
	answerProfiles, err := profiles(ctx, s.Pprof)
	if err != nil {
		ln.Close()
		return err
	}
	mux := http.NewServeMux()
	srv.Mount(mux, s.Path)
	srv.HandleService("/service/echo", echo)
	g, ctx := errgroup.WithContext(ctx)
	if s.Chat {
		mux.Handle("/", chat.Page(s.Path))
		rooms := chat.Open(srv)
		g.Go(func() error { rooms.Run(ctx); return nil })
	}
	g.Go(func() error { giveBack(ctx); return nil })
	g.Go(func() error { return answerProfiles(ctx) })
	web := s.web(straight(ownNames(ln.Addr(), mux)), srv, log)
	g.Go(func() error { return ignoreClosed(web.Serve(ln)) })
	g.Go(func() error {
		<-ctx.Done()
		return web.stop(s.Grace, srv, log)
	})
	fmt.Fprintf(tty.out, "listening on %s\n", s.address(ln.Addr()))
	return g.Wait()
}

func echo(_ context.Context, _ *server.Session, m *bayeux.Message) (any, error) {
	return m.Data, nil
}

func (s *serveCmd) server(log *slog.Logger, past server.Option) (*server.Server, error) {
	opts := []server.Option{
		past,
		server.WithLogger(log),
		server.WithTransports(s.acceptors()...),
		server.WithTiming(server.Timing{Timeout: s.Timeout, Interval: s.Interval, MaxInterval: s.MaxInterval, MaxPause: s.MaxPause}),
		server.WithLimits(s.limits.bounds()),
		server.WithExtension(s.extensions()...),
	}
	if len(s.AllowOrigin) > 0 {
		opts = append(opts, server.WithOrigins(s.AllowOrigin...))
	}
	return server.New(append(opts, s.tolerate.options()...)...)
}

func (s *serveCmd) acceptors() []transport.Acceptor {
	var as []transport.Acceptor
	for _, t := range s.Transports {
		switch t {
		case "websocket":
			as = append(as, wsserver.NewAcceptor(s.sockets()...))
		case "long-polling":
			as = append(as, longpoll.NewAcceptor())
		case "callback-polling":
			as = append(as, longpoll.NewCallbackAcceptor(longpoll.WithCallback("jsonp", cmp.Or(s.MaxCallback, 64))))
		}
	}
	return as
}

func (s *serveCmd) sockets() (opts []wsserver.Option) {
	if s.Compress != 0 {
		opts = append(opts, wsserver.WithCompression(int(s.Compress)))
	}
	return opts
}

func (s *serveCmd) extensions() []server.Extension {
	var es []server.Extension
	for _, name := range s.Extensions {
		switch name {
		case "ack":
			es = append(es, ackserver.New())
		case "timesync":
			es = append(es, timesyncserver.New(0))
		case "once":
			es = append(es, onceserver.New())
		case "timestamp":
			es = append(es, timestampserver.New())
		}
	}
	return es
}

func (t *tolerate) options() (opts []server.Option) {
	if t.SimpleClients {
		opts = append(opts, server.WithSimpleClients())
	}
	if t.StrictHandshake {
		opts = append(opts, server.WithStrictHandshake())
	}
	if t.HandshakePerConnection {
		opts = append(opts, server.WithHandshakePerConnection())
	}
	return opts
}
