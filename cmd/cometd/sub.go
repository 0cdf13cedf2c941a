package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/ext/replay"
)

type subCmd struct {
	connection

	Count   uint64   `placeholder:"N" help:"End after this many messages. Default: never."`
	Replay  *int64   `placeholder:"ID" help:"Begin after the message with this id; -2: with all that the server keeps; -1: with what is published from now on. For servers with a history."`
	Channel []string `arg:"" help:"The channels, such as /chat/lobby, '/chat/*' or '/chat/**'."`
}

func (s *subCmd) Help() string {
	return `Each message is one line of JSON on stdout: {"channel":…,"data":…}, with "id", "timestamp" and
"ext" when the message has them, and "replay", its id, with --replay. Once the server has accepted,
stderr says "subscribed CHANNEL".
It stays connected. A server with the ack extension, such as cometd serve, sends what a broken
connection lost again; of others, and after a break that was too long, what may have been missed is
said on stderr. It ends with status 0 on SIGINT, SIGTERM or after --count messages; with 1 if stdout
does not take within a second of the signal what has come. Characters that a terminal would obey are
written as \u….`
}

func (s *subCmd) Run(ctx context.Context, tty console) error {
	for _, ch := range s.Channel {
		if err := checkChannel(ch); err != nil {
			return err
		}
	}
	c, err := s.dial(ctx, tty, s.extensions()...)
	if err != nil {
		return endedBySignal(ctx, err)
	}
	defer c.Close()
	sub, err := s.subscribe(ctx, c, tty)
	if err != nil {
		return endedBySignal(ctx, err)
	}
	for _, ch := range s.Channel {
		fmt.Fprintln(tty.err, "subscribed", plain(ch))
	}
	if done, err := s.print(ctx, sub, tty.out); done || err != nil {
		return err
	}
	return endedBySignal(ctx, fmt.Errorf("the subscription ended: %w", cmp.Or(sub.Err(), c.Err(), client.ErrClosed)))
}

// extensions has messages that a break lost sent again, and begins where
// --replay says. ack comes first, because it counts what arrives.
func (s *subCmd) extensions() []client.Option {
	opts := []client.Option{client.WithExtension(ack.Client())}
	if s.Replay != nil {
		opts = append(opts, client.WithExtension(replay.Client(replay.Config{First: replay.ID(*s.Replay)})))
	}
	return opts
}

// subscribe asks for all channels with one request, so that their messages are
// one stream in the server's order.
func (s *subCmd) subscribe(ctx context.Context, c *client.Client, tty console) (*client.Subscription, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Wait)
	defer cancel()
	return c.Subscribe(ctx, s.Channel[0],
		client.WithChannels(s.Channel[1:]...),
		client.WithOnGap(func(g client.Gap) {
			fmt.Fprintf(tty.err, "messages may be missing on %s %s: %v\n", plain(g.Channel), during(g), g.Reason)
		}))
}

// during is when a gap was.
func during(g client.Gap) string {
	to := g.To.Format(time.TimeOnly)
	if g.From.IsZero() {
		return "before " + to
	}
	return "between " + g.From.Format(time.TimeOnly) + " and " + to
}

// print writes messages until ctx or the subscription ends, or --count is
// reached (done). What arrived together is flushed together.
func (s *subCmd) print(ctx context.Context, sub *client.Subscription, w io.Writer) (done bool, err error) {
	const most = 256
	defer limitWrites(ctx, w)()
	out := bufio.NewWriterSize(w, 64<<10)
	lines := json.NewEncoder(lineWriter{out})
	lines.SetEscapeHTML(false)
	printed := uint64(0)
	for batch := range sub.Batches(ctx, most) {
		for _, m := range batch {
			if err := lines.Encode(lineOf(m, s.Replay != nil)); err != nil {
				return false, err
			}
			if printed++; printed == s.Count {
				return true, out.Flush()
			}
		}
		if err := out.Flush(); err != nil {
			return false, err
		}
	}
	return false, nil
}

// lastWrite is how long stdout may take what waits after a signal.
const lastWrite = time.Second

// limitWrites ends writes to w that still wait lastWrite after ctx has ended, if
// w can have a deadline; if it cannot, it takes a second signal.
func limitWrites(ctx context.Context, w io.Writer) (stop func() bool) {
	d, ok := w.(interface{ SetWriteDeadline(time.Time) error })
	return context.AfterFunc(ctx, func() {
		if ok {
			_ = d.SetWriteDeadline(time.Now().Add(lastWrite))
		}
	})
}

// A line is a message as sub prints it.
type line struct {
	Channel   string          `json:"channel"`
	Data      json.RawMessage `json:"data,omitempty"`
	ID        string          `json:"id,omitempty"`
	Timestamp string          `json:"timestamp,omitempty"`
	Ext       bayeux.Ext      `json:"ext,omitempty"`
	Replay    json.RawMessage `json:"replay,omitempty"`
}

// lineOf is m without what package replay has added to its ext.
func lineOf(m *bayeux.Message, replayed bool) line {
	l := line{Channel: m.Channel, Data: m.Data, ID: m.ID, Timestamp: m.Timestamp, Ext: m.Ext}
	if id, ok := m.Ext[replay.Name]; ok && replayed {
		l.Ext, l.Replay = maps.Clone(m.Ext), id
		delete(l.Ext, replay.Name)
	}
	return l
}

// endedBySignal is nil if it was ctx that made err: a signal is a good end.
func endedBySignal(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// checkChannel refuses what cannot be a channel anywhere. All else is the
// server's to judge: Salesforce takes "/topic/T?Field=Value".
func checkChannel(ch string) error {
	if len(ch) < 2 || ch[0] != '/' {
		return badUsage("CHANNEL is %q, want one that begins with a slash, such as /chat/lobby", ch)
	}
	return nil
}
