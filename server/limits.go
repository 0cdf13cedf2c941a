package server

import (
	"cmp"
	"fmt"
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

	// FrameBytes is of the events put into one frame or reply, below what clients
	// based on Jetty take. A single larger message goes alone.
	FrameBytes int // default 60 KiB

	// FrameMessages is how many events are put into one frame of a socket; replies
	// then follow apart. 1 is what the reference does (docs/protocol.md §8). It is
	// not for events that leave with connect replies only.
	FrameMessages int // default none

	SessionBytes    int // undelivered bytes per session; default 1 MiB. Beyond it ChannelOptions.Overflow decides
	SessionMessages int // undelivered messages per session; default none

	// ServerBytes is of what is undelivered in the whole server. A message counts
	// once, however many sessions it waits for, and 16 bytes for each of those;
	// replies that wait for sockets count too. Beyond it those sessions and sockets
	// are closed first whose oldest message has waited for longest, in sweeps
	// (Timing.Sweep), and of those the fullest.
	ServerBytes int // default 256 MiB

	// LatestBytes is of the latest messages that channels keep for new subscribers
	// (ChannelOptions.SendLast), in the whole server. Beyond it those go first to
	// whose channels nobody is subscribed, and of these the ones that were neither
	// published nor given to anybody for longest.
	LatestBytes int // default 64 MiB

	IDBytes int // length of a message's id; default 64. A longer one is not sent back with the refusal

	Subscriptions   int // per session; default 1024
	ChannelBytes    int // length of a channel's name; default 256
	ChannelSegments int // default 16
	ChannelsCreated int // by one session; default 1000
	Channels        int // in the whole server, its own included; default 250,000. Beyond it sessions create none, the server does

	// What one remote address may take. An IPv6 address counts together with its
	// /64, which is what one customer has, and one that stands for an IPv4
	// address as that. The loopback does not count, for there sits a proxy, or
	// oneself, unless the field is set.
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

	Handshake time.Duration // from accepting a socket to its handshake; default 10s
	Body      time.Duration // for reading a request's body, or skipping one that is not wanted; default 10s
	Write     time.Duration // without progress in a write; default 10s

	// HandshakeRate is how many handshakes a second the whole server grants. Beyond
	// it they are refused with 503, and told when to come back.
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
func (s *Server) limited(limit, addr string, session *Session) {
	lock.None()
	if news := s.stats.again(&s.stats.limited, limit); news > 0 {
		about := []any{slog.String("limit", limit), slog.String("addr", addr), slog.Uint64("times", news)}
		if session != nil {
			about = append(about, slog.Any("session", session))
		}
		s.log.Warn("limit reached", about...)
	}
	if f := s.hooks.Limited; f != nil {
		f(limit)
	}
}

func (l Limits) withDefaults() Limits {
	def := Limits{
		MessageBytes: 256 << 10, BatchMessages: 512, Depth: 64, DataDepth: 512, HeaderBytes: 8 << 10,
		FrameBytes: 60 << 10, FrameMessages: none, SessionBytes: 1 << 20, SessionMessages: none, ServerBytes: 256 << 20, LatestBytes: 64 << 20,
		IDBytes: 64, Subscriptions: 1024, ChannelBytes: 256, ChannelSegments: 16, ChannelsCreated: 1000, Channels: 250_000, ChannelsPerAddr: 25_000,
		Sessions: 100_000, SessionsPerAddr: 2000, Conns: none, ConnsPerAddr: 1000, Events: 512,
		HeldPerBrowser: 1, HeldPerBrowserHTTP2: none,
		Header: 10 * time.Second, Handshake: 10 * time.Second, Body: 10 * time.Second, Write: 10 * time.Second, HandshakeRate: none,
	}
	return Limits{
		MessageBytes:    cmp.Or(l.MessageBytes, def.MessageBytes),
		BatchMessages:   cmp.Or(l.BatchMessages, def.BatchMessages),
		Depth:           cmp.Or(l.Depth, def.Depth),
		DataDepth:       cmp.Or(l.DataDepth, def.DataDepth),
		HeaderBytes:     cmp.Or(l.HeaderBytes, def.HeaderBytes),
		FrameBytes:      cmp.Or(l.FrameBytes, def.FrameBytes),
		FrameMessages:   cmp.Or(l.FrameMessages, def.FrameMessages),
		SessionBytes:    cmp.Or(l.SessionBytes, def.SessionBytes),
		SessionMessages: cmp.Or(l.SessionMessages, def.SessionMessages),
		ServerBytes:     cmp.Or(l.ServerBytes, def.ServerBytes),
		LatestBytes:     cmp.Or(l.LatestBytes, def.LatestBytes),
		IDBytes:         cmp.Or(l.IDBytes, def.IDBytes),
		Subscriptions:   cmp.Or(l.Subscriptions, def.Subscriptions),
		ChannelBytes:    cmp.Or(l.ChannelBytes, def.ChannelBytes),
		ChannelSegments: cmp.Or(l.ChannelSegments, def.ChannelSegments),
		ChannelsCreated: cmp.Or(l.ChannelsCreated, def.ChannelsCreated),
		Channels:        cmp.Or(l.Channels, def.Channels),
		ChannelsPerAddr: cmp.Or(l.ChannelsPerAddr, def.ChannelsPerAddr),
		Sessions:        cmp.Or(l.Sessions, def.Sessions),
		SessionsPerAddr: cmp.Or(l.SessionsPerAddr, def.SessionsPerAddr),
		Conns:           cmp.Or(l.Conns, def.Conns),
		ConnsPerAddr:    cmp.Or(l.ConnsPerAddr, def.ConnsPerAddr),
		Events:          cmp.Or(l.Events, def.Events),
		Header:          cmp.Or(l.Header, def.Header),
		Handshake:       cmp.Or(l.Handshake, def.Handshake),
		Body:            cmp.Or(l.Body, def.Body),
		Write:           cmp.Or(l.Write, def.Write),
		HandshakeRate:   cmp.Or(l.HandshakeRate, def.HandshakeRate),

		HeldPerBrowser:      cmp.Or(l.HeldPerBrowser, def.HeldPerBrowser),
		HeldPerBrowserHTTP2: cmp.Or(l.HeldPerBrowserHTTP2, def.HeldPerBrowserHTTP2),
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

// over reports whether n breaks limit; a negative limit is none.
func over(n, limit int) bool { return limit >= 0 && n > limit }

// Timing is when things happen to a session. The zero value of a field means
// its default; a negative value means zero (docs/protocol.md §12).
type Timing struct {
	Timeout     time.Duration // how long a connect is held; default 20s
	Interval    time.Duration // the pause advised between two connects; default 0
	MaxInterval time.Duration // the grace: how long a session outlives its last connect; default 10s

	// MaxPause is the longest interval that a client may ask for; its session is
	// kept for as long beside the grace. Negative: it asks in vain
	// (docs/protocol.md §5).
	MaxPause time.Duration // default 2m, or Interval if that is longer

	// Processing is how long the application's code may take with one payload
	// before its session ends as expired, which ends the code's context
	// (docs/protocol.md §12).
	Processing time.Duration // default none, however long its session waits

	Lazy  time.Duration // how long a lazy message may wait for company; default 5s
	Sweep time.Duration // how often expired sessions and idle channels are looked for; default 1s. Of the whole server, not of a session

	// Multiple is the pause advised to the second session of one browser. Negative:
	// it is told not to come back (docs/protocol.md §11).
	Multiple time.Duration // default 2s
}

var defaultTiming = Timing{
	Timeout: 20 * time.Second, MaxInterval: 10 * time.Second, MaxPause: 2 * time.Minute,
	Lazy: 5 * time.Second, Sweep: time.Second, Multiple: 2 * time.Second,
}

// over returns t where it is set and below where it is not.
func (t Timing) over(below Timing) Timing {
	return Timing{
		Timeout:     cmp.Or(t.Timeout, below.Timeout),
		Interval:    cmp.Or(t.Interval, below.Interval),
		MaxInterval: cmp.Or(t.MaxInterval, below.MaxInterval),
		MaxPause:    cmp.Or(t.MaxPause, below.MaxPause),
		Processing:  cmp.Or(t.Processing, below.Processing),
		Lazy:        cmp.Or(t.Lazy, below.Lazy),
		Sweep:       cmp.Or(t.Sweep, below.Sweep),
		Multiple:    cmp.Or(t.Multiple, below.Multiple),
	}
}

// settled replaces negative durations, which mean zero, once all layers are merged.
func (t Timing) settled() Timing {
	for _, d := range []*time.Duration{&t.Timeout, &t.Interval, &t.MaxInterval, &t.MaxPause, &t.Processing, &t.Lazy, &t.Multiple} {
		*d = max(*d, 0)
	}
	return t
}

func (t Timing) check() error {
	if t.Sweep < 0 {
		return fmt.Errorf("server: sweep period is negative: %v", t.Sweep)
	}
	return nil
}
