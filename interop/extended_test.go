//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/ext/binary"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/timestamp"
	"github.com/gocometd/cometd/ext/timesync"
)

// An extendedPeer is a peer with extensions.
type extendedPeer interface {
	peer
	State(ctx context.Context) (state, error)
	PublishBinary(ctx context.Context, channel string, f file) error
	// File reads a binary message that Next has returned.
	File(m message) (file, error)
	// Reload loads the peer's page again and returns when it takes commands.
	// It must connect and subscribe as it did before.
	Reload(ctx context.Context) error
}

// A state is what a client knows of itself.
type state struct {
	Session   string `json:"session"`
	Connected bool   `json:"connected"` // or trying to
	Offset    int64  `json:"offset"`    // milliseconds to the server's clock
	Timestamp string `json:"timestamp"` // that of the last message which had one
}

// A file is the data of a binary message.
type file struct {
	Bytes []byte            `json:"bytes"`
	Last  bool              `json:"last"`
	Meta  map[string]string `json:"meta"`
}

// options are those of a driver: the extensions to use, the pause after a
// failure in milliseconds, and where a subscription begins.
type options struct {
	Extensions []string `json:"extensions,omitempty"`
	Pause      int      `json:"pause,omitempty"`
	Replay     int64    `json:"replay,omitempty"`
}

func (o options) String() string { return string(value(o)) }

// pause is what clients wait after a failure: their own would be seconds.
const pause = 20 * time.Millisecond

func with(extensions ...string) options {
	return options{Extensions: extensions, Pause: int(pause.Milliseconds())}
}

func (d *driver) State(ctx context.Context) (s state, err error) {
	data, err := d.do(ctx, command{Op: "state"})
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(data, &s)
}

func (d *driver) PublishBinary(ctx context.Context, channel string, f file) error {
	_, err := d.do(ctx, command{Op: "publishBinary", Channel: channel, Data: value(f)})
	return err
}

func (d *driver) File(m message) (f file, err error) { return f, json.Unmarshal(m.Data, &f) }

func (d *driver) Reload(ctx context.Context) error {
	if d.loaded == nil {
		return errors.New("interop: the driver is no page")
	}
	if _, err := d.do(ctx, command{Op: "reload"}); err != nil {
		return err
	}
	for {
		err := d.loaded() // which fails if the old page goes while it asks
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// oursExtended is this module's client with extensions.
type oursExtended struct {
	*ours
	clock timesync.Clock
	stamp atomic.Pointer[string]
}

func openOurs(log io.Writer, url, transport string, o options) (extendedPeer, error) {
	x := &oursExtended{}
	x.stamp.Store(new(string))
	opts := []client.Option{client.WithTransports(dialer(transport)), client.WithBackoff(pause, pause), client.WithLogger(slog.New(slog.NewTextHandler(log, nil)))}
	for _, name := range o.Extensions {
		opts = append(opts, client.WithExtension(x.extension(name, o)))
	}
	opts = append(opts, client.WithExtension(client.Extension{Name: "interop", Incoming: x.see}))
	c, err := client.New(url, opts...)
	if err != nil {
		return nil, err
	}
	x.ours = &ours{make(inbox, inboxSize), c, transport, map[string]*client.Subscription{}}
	return x, nil
}

func (x *oursExtended) extension(name string, o options) client.Extension {
	switch name {
	case "ack":
		return ack.Client()
	case "binary":
		return binary.Client()
	case "replay":
		return replay.Client(replay.Config{First: replay.ID(o.Replay)})
	case "timestamp":
		return timestamp.Client()
	case "timesync":
		return x.clock.Extension()
	}
	panic("interop: no extension " + name)
}

func (x *oursExtended) see(_ context.Context, m *bayeux.Message) error {
	if m.Timestamp != "" {
		x.stamp.Store(&m.Timestamp)
	}
	return nil
}

func (x *oursExtended) State(context.Context) (state, error) {
	s := state{Session: x.c.ID(), Connected: true, Offset: x.clock.Offset().Milliseconds(), Timestamp: *x.stamp.Load()}
	select {
	case <-x.c.Done():
		s.Connected = false
	default:
	}
	return s, nil
}

func (x *oursExtended) PublishBinary(ctx context.Context, channel string, f file) error {
	return binary.Publish(ctx, x.c, channel, f.data())
}

func (x *oursExtended) File(m message) (f file, err error) {
	var d binary.Data
	if err := d.UnmarshalJSON(m.Data); err != nil {
		return f, err
	}
	f.Bytes, f.Last = d.Bytes, d.Last
	return f, json.Unmarshal(d.Meta, &f.Meta)
}

func (x *oursExtended) Reload(context.Context) error {
	return errors.New("interop: our client is no page")
}

func (f file) data() binary.Data {
	return binary.Data{Bytes: f.Bytes, Last: f.Last, Meta: value(f.Meta)}
}
