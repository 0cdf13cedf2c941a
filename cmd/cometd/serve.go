package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/cmd/cometd/chat"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsserver"
)

type serveCmd struct {
	Listen      string        `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to listen; port 0 picks one. Default: ${default}."`
	Path        string        `default:"/cometd" help:"Where Bayeux is; the paths below it too. Default: ${default}."`
	Transports  []string      `default:"websocket,long-polling" enum:"websocket,long-polling,callback-polling" placeholder:"TYPE,…" help:"What clients may use, best first. Default: ${default}; callback-polling only when named."`
	AllowOrigin []string      `placeholder:"ORIGIN" help:"Let pages of this origin in, such as https://example.org or https://*.example.org; may be repeated. Default: the server's own."`
	Chat        bool          `default:"true" negatable:"" help:"Serve the chat page at /. Default: yes."`
	TLSCert     string        `name:"tls-cert" type:"existingfile" and:"tls" placeholder:"FILE" help:"Speak TLS, with this certificate (PEM)."`
	TLSKey      string        `name:"tls-key" type:"existingfile" and:"tls" placeholder:"FILE" help:"The certificate's key (PEM)."`
	LogLevel    slog.Level    `default:"warn" placeholder:"LEVEL" help:"What to log to stderr: debug, info, warn or error. Default: ${default}."`
	Grace       time.Duration `default:"10s" help:"How long a stop may take. Default: ${default}."`

	history  `group:"History:"`
	timing   `group:"Timing:"`
	limits   `group:"Limits, where 0 is the default and -1 no bound:"`
	tolerate `group:"Clients:"`
}

// timing is what a client notices of time.
type timing struct {
	Timeout     time.Duration `default:"20s" help:"How long a /meta/connect is held. Default: ${default}."`
	Interval    time.Duration `default:"0s" help:"How long clients pause between two of them. Default: ${default}."`
	MaxInterval time.Duration `default:"10s" help:"How long a session outlives its connection. Default: ${default}."`
}

// limits is what one peer, or all of them, can make the server hold.
type limits struct {
	MaxMessage       size          `placeholder:"BYTES" help:"One frame or request body, such as 262144 or 256KiB. Default: 256KiB."`
	MaxBatch         int           `placeholder:"N" help:"Messages in one of them. Default: 512."`
	MaxQueue         size          `placeholder:"BYTES" help:"Undelivered bytes of one session. Default: 1MiB."`
	MaxSubscriptions int           `placeholder:"N" help:"Subscriptions of one session. Default: 1024."`
	MaxChannels      int           `placeholder:"N" help:"Channels that one session creates. Default: 1000."`
	MaxSessions      int           `placeholder:"N" help:"Sessions in all. Default: 100000."`
	MaxTotalQueue    size          `placeholder:"BYTES" help:"Undelivered bytes in all. Default: 256MiB."`
	MaxConnections   int           `placeholder:"N" help:"Connections in all. Default: no bound."`
	MaxPerAddress    int           `placeholder:"N" help:"Connections from one address. Default: 1000."`
	HandshakeRate    float64       `placeholder:"N" help:"Handshakes per second. Default: no bound."`
	HandshakeTimeout time.Duration `placeholder:"DURATION" help:"From a connection to its handshake. Default: 10s."`
	WriteTimeout     time.Duration `placeholder:"DURATION" help:"One stalled write. Default: 10s."`
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

// AfterApply refuses a path that nothing could be mounted at.
func (s *serveCmd) AfterApply() error {
	switch {
	case !strings.HasPrefix(s.Path, "/") || strings.ContainsAny(s.Path, "{}?# "):
		return fmt.Errorf("--path is %q, want a path such as /cometd", s.Path)
	case s.Path == "/" && s.Chat:
		return errors.New("--path is \"/\", where the chat page is: add --no-chat")
	}
	s.Path = "/" + strings.Trim(s.Path, "/")
	return nil
}

func (s *serveCmd) Run(ctx context.Context, tty console) error {
	log := newLogger(tty.err, s.LogLevel)
	past, forget, err := s.history.open()
	if err != nil {
		return err
	}
	defer forget()
	srv, err := s.server(log, past)
	if err != nil {
		return usageError{err}
	}
	defer srv.Close()

	ln, err := s.listen(ctx)
	if err != nil {
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
	web := newWeb(mux, log)
	g.Go(func() error { return ignoreClosed(web.Serve(ln)) })
	g.Go(func() error {
		<-ctx.Done()
		return s.stop(srv, web)
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
		server.WithTiming(server.Timing{Timeout: s.Timeout, Interval: s.Interval, MaxInterval: s.MaxInterval}),
		server.WithLimits(s.limits.bounds()),
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
			as = append(as, wsserver.NewAcceptor())
		case "long-polling":
			as = append(as, longpoll.NewAcceptor())
		case "callback-polling":
			as = append(as, longpoll.NewCallbackAcceptor())
		}
	}
	return as
}

func (l *limits) bounds() server.Limits {
	return server.Limits{
		MessageBytes:    int(l.MaxMessage),
		BatchMessages:   l.MaxBatch,
		SessionBytes:    int(l.MaxQueue),
		ServerBytes:     int(l.MaxTotalQueue),
		Subscriptions:   l.MaxSubscriptions,
		ChannelsCreated: l.MaxChannels,
		Sessions:        l.MaxSessions,
		Conns:           l.MaxConnections,
		ConnsPerAddr:    l.MaxPerAddress,
		HandshakeRate:   l.HandshakeRate,
		Handshake:       l.HandshakeTimeout,
		Write:           l.WriteTimeout,
	}
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

// newWeb is the HTTP server around the mux. A body's time is the long-polling
// transport's to bound, and a held connect must not be cut: so no ReadTimeout
// and no WriteTimeout here.
func newWeb(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

func (s *serveCmd) listen(ctx context.Context) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Listen)
	if err != nil || s.TLSCert == "" {
		return ln, err
	}
	cert, err := tls.LoadX509KeyPair(s.TLSCert, s.TLSKey)
	if err != nil {
		ln.Close()
		return nil, badUsage("--tls-cert and --tls-key: %w", err)
	}
	// HTTP/2 lifts the limit of held connects that a browser has on HTTP/1. For
	// a WebSocket, clients ask for HTTP/1.1 themselves.
	return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}), nil
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

// stop ends sockets and held polls first, then the listener.
func (s *serveCmd) stop(srv *server.Server, web *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.Grace)
	defer cancel()
	return errors.Join(srv.Shutdown(ctx), web.Shutdown(ctx))
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
