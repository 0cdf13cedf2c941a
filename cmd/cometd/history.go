package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/gocometd/cometd/ext/replay/boltstore"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/server"
)

// history is what serve keeps of what was published.
type history struct {
	History         string        `placeholder:"DIR" help:"Keep in this directory what is published on broadcast channels: a publish is answered when it is safe there, and 'cometd sub --replay' gets it. Each message gets an id, in data.event.replayId; data that is no object stands beside it, {\"event\":{\"replayId\":7},\"replay.data\":…}, for clients that do not use replay, too. Of /presence/**, which the chat page uses, the latest of each channel (--no-chat: like all others). Default: keep nothing."`
	HistoryAge      time.Duration `default:"72h" help:"For how long; 0s: for ever. Default: ${default}."`
	HistoryMessages int           `placeholder:"N" help:"How many of one channel. Default, and 0: no bound."`
	HistoryChannels int           `placeholder:"N" default:"100000" help:"Of how many channels at a time; a publish on one more is refused. Default, and 0: ${default}. Negative: no bound."`
}

// check refuses bounds that no history has, and those of none. Given are the words
// of the command line.
func (h *history) check(given []*kong.Path) error {
	switch {
	case h.HistoryAge < 0:
		return fmt.Errorf("--history-age is %v, want 0s or more", h.HistoryAge)
	case h.HistoryMessages < 0:
		return fmt.Errorf("--history-messages is %d, want 0 or more", h.HistoryMessages)
	case h.History != "":
		return nil
	}
	for _, word := range given {
		if f := word.Flag; f != nil && strings.HasPrefix(f.Name, "history-") {
			return fmt.Errorf("--%s is of no use without --history", f.Name)
		}
	}
	return nil
}

// historyFile is what it keeps it in, within DIR.
const historyFile = "history.db"

// open returns the option for the server, which may have the chat page, and what to
// call when it has ended.
func (h *history) open(chat bool, log *slog.Logger) (server.Option, func() error, error) {
	if h.History == "" {
		return server.Options(), func() error { return nil }, nil
	}
	if err := os.MkdirAll(h.History, 0o700); err != nil {
		return nil, nil, fmt.Errorf("--history: %w", err)
	}
	rules := []replayserver.Rule{{Pattern: "/**", Age: h.HistoryAge, Messages: h.HistoryMessages, Channels: h.HistoryChannels}}
	if chat { // who is there, which is worth nothing later
		rules = append([]replayserver.Rule{{Pattern: "/presence", Messages: 1}, {Pattern: "/presence/**", Messages: 1}}, rules...)
	}
	store, err := boltstore.Open(filepath.Join(h.History, historyFile), rules...)
	if err != nil {
		return nil, nil, fmt.Errorf("--history: %w", err)
	}
	option, err := replayserver.New(store, replayserver.WithLogger(log))
	if err != nil {
		return nil, nil, fmt.Errorf("--history: %w", errors.Join(err, store.Close()))
	}
	return option, store.Close, nil
}
