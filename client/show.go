package client

import (
	"fmt"
	"log/slog"
	"strings"
)

// String describes the change in a line. Of the session's id it has the end,
// enough to find it again and not enough to speak for it.
func (ch Change) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v to %v", ch.From, ch.To)
	if ch.Transport != "" {
		fmt.Fprintf(&b, " over %s", ch.Transport)
	}
	if ch.Session != "" {
		fmt.Fprintf(&b, " in session %s", shortened(ch.Session))
	}
	if ch.Resumed {
		b.WriteString(", resumed")
	}
	if ch.Err != nil {
		fmt.Fprintf(&b, ": %v", ch.Err)
	}
	return b.String()
}

// Format writes String for every verb, so that %+v shows no secret.
func (ch Change) Format(f fmt.State, _ rune) { fmt.Fprint(f, ch.String()) }

// LogValue is a group of what String has.
func (ch Change) LogValue() slog.Value { return slog.GroupValue(ch.attrs()...) }

func (ch Change) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("from", ch.From.String()), slog.String("state", ch.To.String()), slog.String("transport", ch.Transport)}
	if ch.Session != "" {
		attrs = append(attrs, slog.String("session", shortened(ch.Session)))
	}
	if ch.Resumed {
		attrs = append(attrs, slog.Bool("resumed", true))
	}
	if ch.Err != nil {
		attrs = append(attrs, slog.Any("err", ch.Err))
	}
	return attrs
}

// String describes the client in a line, with the last change as Change.String
// has it.
func (s Stats) String() string {
	return fmt.Sprintf("%v; received %d, sent %d, dropped %d, reconnects %d, waiting %d (%d bytes)",
		s.Change, s.Received, s.Sent, s.Dropped, s.Reconnects, s.Waiting, s.WaitingBytes)
}

// Format writes String for every verb, so that %+v shows no secret.
func (s Stats) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue is a group of what String has.
func (s Stats) LogValue() slog.Value {
	return slog.GroupValue(append(s.attrs(),
		slog.Uint64("received", s.Received), slog.Uint64("sent", s.Sent), slog.Uint64("dropped", s.Dropped),
		slog.Uint64("reconnects", s.Reconnects), slog.Int("waiting", s.Waiting), slog.Int("waiting_bytes", s.WaitingBytes))...)
}

// shortened is the end of a session's id, at most a quarter of it.
func shortened(id string) string { return "…" + id[len(id)-min(8, len(id)/4):] }
