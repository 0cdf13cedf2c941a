package cometd

import (
	"context"

	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/wsclient"
)

// Dial connects to a CometD server and returns when the session is up: over
// WebSocket, or over long-polling where a WebSocket does not get through. It
// tries each transport once and says what went wrong; a server that is down is
// an error, not a wait. From then on the client stays connected, and makes new
// sessions where it must, until Close.
//
// ctx bounds Dial and nothing else. The URL is http, https, ws or wss. Options
// are those of package client; [client.WithTransports] replaces the two
// transports.
func Dial(ctx context.Context, url string, opts ...client.Option) (*client.Client, error) {
	return client.Dial(ctx, url, withTransports(opts)...)
}

// New is [Dial] that does not wait: it fails for bad options only, starts to
// connect, and tries until Close. [client.Client.Wait] waits.
func New(url string, opts ...client.Option) (*client.Client, error) {
	return client.New(url, withTransports(opts)...)
}

// withTransports puts the default first, so that an option of the caller wins.
func withTransports(opts []client.Option) []client.Option {
	std := client.WithTransports(wsclient.NewDialer(), longpoll.NewDialer())
	return append([]client.Option{std}, opts...)
}
