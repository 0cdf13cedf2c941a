package replayserver

import (
	"context"
	"log/slog"
	"time"
)

// WithLogger sets the log: what of the store cannot be read, at Error, for which no
// publisher waits who could be told. It is logged once, and then once a minute, with
// how often ("times"). It may be the server's; the default, and nil, is silence.
func WithLogger(l *slog.Logger) Option {
	return func(h *history) error {
		if l == nil {
			l = slog.New(slog.DiscardHandler)
		}
		h.log = l
		return nil
	}
}

// reportPause is how far apart two lines about one thing are: clients ask again and
// again.
const reportPause = time.Minute

// reports are how often one thing was to be reported.
type reports struct {
	untold uint64
	told   time.Time
}

// report logs what an operator is to mend.
func (h *history) report(text string, about ...slog.Attr) {
	if times := h.count(text, time.Now()); times > 0 {
		h.log.LogAttrs(context.Background(), slog.LevelError, text, append(about, slog.Uint64("times", times))...)
	}
}

// count counts one more, and returns how many a line is to tell of now; 0: no line.
func (h *history) count(text string, now time.Time) (times uint64) {
	h.turns.Lock()
	defer h.turns.Unlock()
	r := h.reports[text]
	if r == nil {
		r = &reports{}
		h.reports[text] = r
	}
	r.untold++
	if now.Sub(r.told) < reportPause {
		return 0
	}
	times, r.told, r.untold = r.untold, now, 0
	return times
}
