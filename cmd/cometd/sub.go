package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/ext/replay"
)

type subCmd struct {
	connection

	Count   uint64   `placeholder:"N" help:"End after this many messages. Default: never."`
	Replay  *int64   `placeholder:"ID" help:"Begin after the message with this id, 1 or more; -2: with all that the server keeps; -1: with what is published from now on. For servers with a history."`
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

// AfterApply refuses positions that no server has.
func (s *subCmd) AfterApply() error {
	if s.Replay != nil && (*s.Replay == 0 || *s.Replay < int64(replay.All)) {
		return fmt.Errorf("--replay is %d, want the id of a message, 1 or more, or %d or %d", *s.Replay, replay.All, replay.New)
	}
	return s.connection.AfterApply()
}

func (s *subCmd) Run(ctx context.Context, tty console) error {
	for _, ch := range s.Channel {
		if _, err := parseChannel(ch); err != nil {
			return badUsage("CHANNEL: %w", err)
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

// subscribe asks for all channels with one request, so that what is published on
// them is one stream in the server's order. With --replay each channel begins with
// its own past, and there is no order between two of them until both pasts have come.
func (s *subCmd) subscribe(ctx context.Context, c *client.Client, tty console) (*client.Subscription, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Wait)
	defer cancel()
	sub, err := c.Subscribe(ctx, s.Channel[0],
		client.WithChannels(s.Channel[1:]...),
		client.WithOnGap(func(g client.Gap) {
			fmt.Fprintf(tty.err, "messages may be missing on %s %s: %v\n", plain(g.Channel), during(g), g.Reason)
		}))
	return sub, s.unanswered("the subscribe to "+strings.Join(s.Channel, ", "), err)
}

// during is when a gap was.
func during(g client.Gap) string {
	to := g.To.Format(time.TimeOnly)
	if g.From.IsZero() {
		return "before " + to
	}
	return "between " + g.From.Format(time.TimeOnly) + " and " + to
}

// lastWrite is how long stdout may take what waits after a signal.
const lastWrite = time.Second

// print is write, and ends lastWrite after ctx at the latest. Not all that stdout may
// be lets a write be interrupted: one that still waits then is left behind, and ends
// with the process.
func (s *subCmd) print(ctx context.Context, sub *client.Subscription, w io.Writer) (done bool, err error) {
	written := make(chan struct{})
	var ok bool
	var failed error
	go func() {
		defer close(written)
		ok, failed = s.write(ctx, sub, w)
	}()
	select {
	case <-written:
		return ok, failed
	case <-ctx.Done():
	}
	select {
	case <-written:
		return ok, failed
	case <-time.After(lastWrite):
		return false, fmt.Errorf("stdout has not taken within %v of the signal what has come", lastWrite)
	}
}

// write writes messages until ctx or the subscription ends, or --count is
// reached (done). What arrived together is flushed together.
func (s *subCmd) write(ctx context.Context, sub *client.Subscription, w io.Writer) (done bool, err error) {
	const most = 256
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

// parseChannel refuses what a client does, because no server takes it. All else is
// the server's to judge: Salesforce takes "/topic/T?Field=Value".
func parseChannel(ch string) (bayeux.Channel, error) {
	c, err := bayeux.ParseRemote(ch)
	if err == nil && c.Kind() == bayeux.Meta {
		err = fmt.Errorf("meta channels are the protocol's own: %s", c)
	}
	return c, err
}
