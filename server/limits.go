package server

import (
	"log/slog"
	"time"

	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

// Limits bounds what peers can make the server hold or do. The zero value of a
// field means its default; a negative value means no bound.
type Limits struct {
	MessageBytes  int // one frame or request body; default 256 KiB. Over it: status 413, close code 1009
	BatchMessages int // messages in one payload; default 512
	Depth         int // nesting of JSON outside data; default 64
	DataDepth     int // nesting of JSON inside data; default 512

	// HeaderBytes is what a session keeps of its handshake's header, and of its
	// URL. What does not fit is left out, and nobody refused: see [WithHeaders].
	HeaderBytes int // default 8 KiB

	// FrameBytes bounds the events in one frame or reply; the default stays below
	// the limit of clients based on Jetty. A larger single message is sent alone.
	FrameBytes int // default 60 KiB

	// FrameMessages is how many events are put into one frame of a socket; replies
	// then follow apart. 1 is what the reference does (docs/protocol.md §8). It is
	// not for events that leave with connect replies only.
	FrameMessages int // default none

	SessionBytes    int // undelivered bytes per session; default 1 MiB. Beyond it ChannelOptions.Overflow decides
	SessionMessages int // undelivered messages per session; default none

	// ServerBytes bounds what is undelivered in the whole server. A message counts
	// once, and 16 bytes more for each session that it waits for. Replies that wait
	// for sockets count too. Beyond the bound the server closes sessions and sockets:
	// first those whose oldest message has waited for most sweeps (Timing.Sweep), and
	// among those of one sweep the fullest.
	ServerBytes int // default 256 MiB

	// LatestBytes bounds the latest messages that the channels of the whole server
	// keep for new subscribers (ChannelOptions.SendLast). Beyond it messages are
	// dropped: first those of channels without subscribers, and among them first
	// the ones that were neither published nor given to anybody for longest.
	LatestBytes int // default 64 MiB

	IDBytes int // length of a message's id; default 64. A longer one is not sent back with the refusal

	Subscriptions   int // per session; default 1024
	ChannelBytes    int // length of a channel's name; default 256
	ChannelSegments int // default 16
	ChannelsCreated int // that exist and were created by one session; default 1000
	Channels        int // in the whole server, its own included; default 250,000. Beyond it sessions create none, the server does

	// What one remote address may take. An IPv6 address counts together with its
	// /64, which is what one customer has, and one that stands for an IPv4
	// address as that. The loopback does not count, nor a Unix domain socket, for
	// there sits a proxy, or oneself, unless the field is set.
	ChannelsPerAddr int // that exist and were created by its sessions, also by those that have ended; default 25,000
	SessionsPerAddr int // default 2000
	ConnsPerAddr    int // sockets and requests at once, and with Server.ConnState connections; default 1000

	Sessions int // default 100,000
	Conns    int // counted as ConnsPerAddr, of all addresses; default none
	Events   int // unread events per Server.Events loop; default 512

	// HeldPerBrowser is how many connects are held at once for one
	// BAYEUX_BROWSER cookie over HTTP/1, where a browser opens few connections
	// (docs/protocol.md §11); default 1. HeldPerBrowserHTTP2 is that over
	// HTTP/2; default none. A connect too many is answered at once, with the
	// advice to pause for Timing.Multiple. To hold none at all, so that clients
	// poll at an interval, give [WithTransportTiming] a negative Timeout and
	// that Interval.
	HeldPerBrowser, HeldPerBrowserHTTP2 int

	// Header is the time from accepting a connection to the end of its first
	// header, TLS included, with [Server.ConnState] only. Later headers have the
	// http.Server's ReadHeaderTimeout.
	Header time.Duration // default 10s

	// Handshake is the time from accepting a socket to its handshake, without what the
	// application takes to decide about one.
	Handshake time.Duration // default 10s

	Body  time.Duration // for reading a request's body, or skipping one that is not wanted; default 10s
	Write time.Duration // without progress in a write; default 10s

	// HandshakeRate is how many handshakes a second the whole server grants, and how
	// many at once, rounded down, but one at least. Beyond it they are refused with
	// 503, and told when to come back.
	HandshakeRate float64 // default none
}

const none = -1

// The names of limits, as refusals, [Hooks].Limited and [Stats] have them.
const (
	limitMessageBytes    = transport.LimitMessageBytes
	limitBatchMessages   = "batch_messages"
	limitDepth           = "depth"
	limitDataDepth       = "data_depth"
	limitHeaderBytes     = transport.LimitHeaderBytes
	limitIDBytes         = "id_bytes"
	limitSessionQueue    = "session_queue" // bytes or messages
	limitServerBytes     = "server_bytes"
	limitLatestBytes     = "latest_bytes"
	limitSubscriptions   = "subscriptions"
	limitChannelBytes    = "channel_bytes"
	limitChannelSegments = "channel_segments"
	limitChannelsCreated = "channels_created"
	limitChannels        = "channels"
	limitChannelsPerAddr = "channels_per_addr"
	limitSessions        = "sessions"
	limitSessionsPerAddr = "sessions_per_addr"
	limitConns           = "conns"
	limitConnsPerAddr    = "conns_per_addr"
	limitHeldPerBrowser  = "held_per_browser"
	limitHeldPerBrowser2 = "held_per_browser_http2"
	limitHeader          = "header"
	limitHandshake       = "handshake"
	limitBody            = transport.LimitBody // and transport.LimitCallback, of a transport's option
	limitWrite           = "write"
	limitHandshakeRate   = "handshake_rate"
)

// limited counts that a peer broke a limit, and tells the log and the hook. The
// session is nil where there is none. No lock may be held.
func (srv *Server) limited(limit, addr string, session *Session) {
	lock.None()
	says := func() line {
		about := []slog.Attr{slog.String("limit", limit), slog.String("addr", addr)}
		if session != nil {
			about = append(about, slog.Any("session", session))
		}
		return line{slog.LevelWarn, "limit reached", about}
	}
	if news := srv.stats.count(&srv.stats.limited, limit, says); news > 0 {
		says().tell(srv.log, news)
	}
	if f := srv.hooks.Limited; f != nil {
		f(limit)
	}
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.MessageBytes, 256<<10)
	orDefault(&l.BatchMessages, 512)
	orDefault(&l.Depth, 64)
	orDefault(&l.DataDepth, 512)
	orDefault(&l.HeaderBytes, 8<<10)
	orDefault(&l.FrameBytes, 60<<10)
	orDefault(&l.FrameMessages, none)
	orDefault(&l.SessionBytes, 1<<20)
	orDefault(&l.SessionMessages, none)
	orDefault(&l.ServerBytes, 256<<20)
	orDefault(&l.LatestBytes, 64<<20)
	orDefault(&l.IDBytes, 64)
	orDefault(&l.Subscriptions, 1024)
	orDefault(&l.ChannelBytes, 256)
	orDefault(&l.ChannelSegments, 16)
	orDefault(&l.ChannelsCreated, 1000)
	orDefault(&l.Channels, 250_000)
	orDefault(&l.ChannelsPerAddr, 25_000)
	orDefault(&l.Sessions, 100_000)
	orDefault(&l.SessionsPerAddr, 2000)
	orDefault(&l.Conns, none)
	orDefault(&l.ConnsPerAddr, 1000)
	orDefault(&l.Events, 512)
	orDefault(&l.HeldPerBrowser, 1)
	orDefault(&l.HeldPerBrowserHTTP2, none)
	orDefault(&l.Header, 10*time.Second)
	orDefault(&l.Handshake, 10*time.Second)
	orDefault(&l.Body, 10*time.Second)
	orDefault(&l.Write, 10*time.Second)
	orDefault(&l.HandshakeRate, none)
	return l
}

func orDefault[T int | float64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

func (l *Limits) codec() codec.Limits {
	return codec.Limits{Bytes: l.MessageBytes, Messages: l.BatchMessages, Depth: l.Depth, DataDepth: l.DataDepth}
}

// heldPerBrowser is the limit for connects over a version of HTTP, and its
// name.
func (l *Limits) heldPerBrowser(proto int) (n int, name string) {
	if proto < 2 {
		return l.HeldPerBrowser, limitHeldPerBrowser
	}
	return l.HeldPerBrowserHTTP2, limitHeldPerBrowser2
}

// exceeds reports whether n breaks limit; a negative limit is none.
func exceeds(n, limit int) bool { return limit >= 0 && n > limit }
