package main

import (
	"cmp"
	"time"

	"github.com/gocometd/cometd/server"
)

// limits are what one peer, or all of them, can make the server hold.
type limits struct {
	messageLimits `group:"Limits of one message (0 is the default, -1 is no bound: --max-batch=-1):"`
	clientLimits  `group:"Limits of one client (0 is the default, -1 is no bound: --max-queue=-1):"`
	serverLimits  `group:"Limits of the whole server (0 is the default, -1 is no bound: --max-sessions=-1):"`
	timeLimits    `group:"Limits of time (0s is the default, -1s is no bound: --body-timeout=-1s):"`
}

type messageLimits struct {
	MaxMessage         size `placeholder:"BYTES" help:"One frame or request body, such as 262144 or 256KiB. Default: 256KiB."`
	MaxBatch           int  `placeholder:"N" help:"Messages in one of them. Default: 512."`
	MaxDepth           int  `placeholder:"N" help:"Levels of JSON outside data. Default: 64."`
	MaxDataDepth       int  `placeholder:"N" help:"Levels of JSON inside data. Default: 512."`
	MaxIDLength        int  `name:"max-id-length" placeholder:"BYTES" help:"A message's id. Default: 64."`
	MaxChannelLength   int  `placeholder:"BYTES" help:"A channel's name. Default: 256."`
	MaxChannelSegments int  `placeholder:"N" help:"Segments of a channel's name. Default: 16."`
	MaxHeader          size `default:"32KiB" placeholder:"BYTES" help:"A request's header; it has always a bound. Default: ${default}."`
	MaxKeptHeader      size `placeholder:"BYTES" help:"What a session keeps of its handshake's header; the rest is left out. Default: 8KiB."`
	MaxCallback        int  `placeholder:"N" help:"Characters of a JSONP callback's name; it has always a bound. Default: 64."`
}

type clientLimits struct {
	MaxQueue              size `placeholder:"BYTES" help:"Undelivered bytes of one session. Default: 1MiB."`
	MaxSubscriptions      int  `placeholder:"N" help:"Subscriptions of one session. Default: 1024."`
	MaxChannels           int  `placeholder:"N" help:"Channels that one session creates. Default: 1000."`
	MaxHeldPerBrowser     int  `placeholder:"N" help:"Connects of one browser that are held at once, over HTTP/1. Default: 1."`
	MaxPerAddress         int  `placeholder:"N" help:"Connections from one address, or one /64 of IPv6. Default: 1000, and no bound for the loopback, where a proxy or oneself is; what is given holds there too."`
	MaxSessionsPerAddress int  `placeholder:"N" help:"Sessions from one address. Default: 2000, with the same exception."`
	MaxChannelsPerAddress int  `placeholder:"N" help:"Channels that sessions from one address have created and that still exist. Default: 25000, with the same exception."`
}

type serverLimits struct {
	MaxConnections   int     `placeholder:"N" help:"Requests and sockets in all. Of connections that ask nothing, up to an eighth more, and at least eight, are let in: what they then ask is answered 503 while the bound is reached. Default: no bound."`
	MaxSessions      int     `placeholder:"N" help:"Sessions in all. Default: 100000."`
	MaxTotalChannels int     `placeholder:"N" help:"Channels in all. Default: 250000."`
	MaxTotalQueue    size    `placeholder:"BYTES" help:"Undelivered bytes in all. Default: 256MiB."`
	HandshakeRate    float64 `placeholder:"N" help:"Handshakes per second. Default: no bound."`
}

type timeLimits struct {
	HeaderTimeout    time.Duration `placeholder:"DURATION" help:"A request's header, and the start of TLS. Default: 10s."`
	BodyTimeout      time.Duration `placeholder:"DURATION" help:"A request's body. Default: 10s."`
	IdleTimeout      time.Duration `placeholder:"DURATION" help:"An HTTP connection between two requests. Default: 60s."`
	HandshakeTimeout time.Duration `placeholder:"DURATION" help:"From a WebSocket to its handshake. Default: 10s."`
	WriteTimeout     time.Duration `placeholder:"DURATION" help:"A write that makes no progress. Default: 10s."`
}

func (l *limits) bounds() server.Limits {
	return server.Limits{
		MessageBytes:    int(l.MaxMessage),
		BatchMessages:   l.MaxBatch,
		Depth:           l.MaxDepth,
		DataDepth:       l.MaxDataDepth,
		HeaderBytes:     int(l.MaxKeptHeader),
		IDBytes:         l.MaxIDLength,
		ChannelBytes:    l.MaxChannelLength,
		ChannelSegments: l.MaxChannelSegments,
		SessionBytes:    int(l.MaxQueue),
		Subscriptions:   l.MaxSubscriptions,
		ChannelsCreated: l.MaxChannels,
		HeldPerBrowser:  l.MaxHeldPerBrowser,
		ConnsPerAddr:    l.MaxPerAddress,
		SessionsPerAddr: l.MaxSessionsPerAddress,
		ChannelsPerAddr: l.MaxChannelsPerAddress,
		Conns:           l.MaxConnections,
		Sessions:        l.MaxSessions,
		Channels:        l.MaxTotalChannels,
		ServerBytes:     int(l.MaxTotalQueue),
		HandshakeRate:   l.HandshakeRate,
		Header:          l.HeaderTimeout,
		Handshake:       l.HandshakeTimeout,
		Body:            l.BodyTimeout,
		Write:           l.WriteTimeout,
	}
}

func (l *timeLimits) header() time.Duration { return cmp.Or(l.HeaderTimeout, 10*time.Second) }
func (l *timeLimits) body() time.Duration   { return cmp.Or(l.BodyTimeout, 10*time.Second) }
func (l *timeLimits) write() time.Duration  { return cmp.Or(l.WriteTimeout, 10*time.Second) }
func (l *timeLimits) idle() time.Duration   { return cmp.Or(l.IdleTimeout, time.Minute) }

// request is how long a whole request may take that is not for Bayeux, whose
// transports set limits of their own: net/http skips a body, and has no other
// limit for it.
func (l *timeLimits) request() time.Duration {
	header, body := l.header(), l.body()
	if header < 0 || body < 0 {
		return 0
	}
	return header + body
}

// answer is how long the answer to such a request may take after its header.
func (l *timeLimits) answer() time.Duration {
	body, write := l.body(), l.write()
	if body < 0 || write < 0 {
		return 0
	}
	return body + write
}
