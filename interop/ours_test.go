//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

// ours is this module's client as a peer.
type ours struct {
	inbox
	c    *client.Client
	want string // the transport it must be on
	subs map[string]*client.Subscription
}

// dialer returns the transport of our client.
func dialer(name string, opts ...longpoll.DialOption) transport.Dialer {
	if name == "websocket" {
		return wsclient.NewDialer()
	}
	return longpoll.NewDialer(opts...)
}

// newOurs makes a client that must come to be on the transport want.
func newOurs(url, want string, opts ...client.Option) (peer, error) {
	c, err := client.New(url, opts...)
	if err != nil {
		return nil, err
	}
	return &ours{make(inbox, inboxSize), c, want, map[string]*client.Subscription{}}, nil
}

func (o *ours) Connect(ctx context.Context) error {
	if err := o.c.Wait(ctx); err != nil {
		return err
	}
	if got := o.c.Stats().Transport; got != o.want {
		return fmt.Errorf("interop: connected by %s, want %s", got, o.want)
	}
	return nil
}

func (o *ours) Subscribe(ctx context.Context, channel string) error {
	sub, err := o.c.SubscribeFunc(ctx, channel, func(_ context.Context, m *bayeux.Message) error {
		o.inbox <- message{m.Channel, m.Data}
		return nil
	})
	if err == nil {
		o.subs[channel] = sub
	}
	return err
}

func (o *ours) Unsubscribe(ctx context.Context, channel string) error {
	return o.subs[channel].Unsubscribe(ctx)
}

func (o *ours) Publish(ctx context.Context, channel string, data ...json.RawMessage) error {
	done := make(chan error, len(data))
	for _, d := range data {
		if err := o.c.PublishFunc(channel, d, func(err error) { done <- err }); err != nil {
			return err
		}
	}
	for range data {
		select {
		case err := <-done:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("interop: publish %s: no answer: %w", channel, context.Cause(ctx))
		}
	}
	return nil
}

func (o *ours) Call(ctx context.Context, channel string, data json.RawMessage) (json.RawMessage, error) {
	m, err := o.c.Call(ctx, channel, data)
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

func (o *ours) Disconnect(ctx context.Context) error { return o.c.Drain(ctx) }

func (o *ours) Close() { o.c.Close() }
