package server

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// repeatPause is how far apart two lines of the log about one thing are that
// peers can bring about at will: an operator wants to know, and an attack must not
// fill the disk.
const repeatPause = time.Minute

// repeats are how often something has happened that may happen with each message.
type repeats struct {
	times  uint64
	told   uint64 // of them in the log
	logged time.Time
	last   line // of the first that was not told, what of it may be kept
}

// A line is one for the log, which says at its end how often.
type line struct {
	level slog.Level
	text  string
	about []slog.Attr
}

func (l line) tell(log *slog.Logger, times uint64, more ...slog.Attr) {
	about := append(append(slices.Clone(l.about), more...), slog.Uint64("times", times))
	log.LogAttrs(context.Background(), l.level, l.text, about...)
}

// lasting is l without what may change until it is told: what user code has made.
func (l line) lasting() line {
	l.about = slices.DeleteFunc(slices.Clone(l.about), func(a slog.Attr) bool {
		switch a.Value.Kind() {
		case slog.KindAny:
			return true
		case slog.KindLogValuer:
			_, ours := a.Value.Any().(*Session)
			return !ours
		}
		return false
	})
	return l
}

// count counts one more, and returns how many a line of the log is to tell of
// now; 0: no line. It asks for the line only to keep it for the tail: whoever breaks a
// limit again and again is to cost little.
func (r *repeats) count(now time.Time, says func() line) (news uint64) {
	r.times++
	if r.told > 0 && now.Sub(r.logged) < repeatPause {
		if r.last.text == "" {
			r.last = says().lasting()
		}
		return 0
	}
	return r.tell(now)
}

// tell returns how many the log has not been told of, and takes them as told.
func (r *repeats) tell(now time.Time) (news uint64) {
	news = r.times - r.told
	r.told, r.logged, r.last = r.times, now, line{}
	return news
}

// count counts one more of a kind, as repeats.count does.
func (c *counters) count(kinds *map[string]*repeats, kind string, says func() line) (news uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := (*kinds)[kind]
	if r == nil {
		r = &repeats{}
		if *kinds == nil {
			*kinds = map[string]*repeats{}
		}
		(*kinds)[kind] = r
	}
	return r.count(time.Now(), says)
}

// A tail is what comes after the last line about something, and its line.
type tail struct {
	line
	news uint64
}

// tails are those of what has not happened for a while, or at the end of what has
// happened at all. Where it goes on, the next of its kind has a line of its own.
func (c *counters) tails(all bool) (tails []tail) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for _, kinds := range []map[string]*repeats{c.limited, c.refused, c.failed} {
		for _, r := range kinds {
			if r.times > r.told && (all || now.Sub(r.logged) >= repeatPause+repeatPause/6) {
				l := r.last
				tails = append(tails, tail{l, r.tell(now)})
			}
		}
	}
	return tails
}

// tellTails is of the sweep, and of Close: a burst that is over must not stay one line
// for its first.
func (srv *Server) tellTails(all bool) {
	for _, x := range srv.stats.tails(all) {
		x.tell(srv.log, x.news)
	}
}

// logRepeated tells the log of what goes wrong in the server or in the application's
// code, which peers may have happen with each message: once, and then once a
// minute, with how often, for each text and place. Of places there are no more
// than the program has.
func (srv *Server) logRepeated(level slog.Level, text, place string, about ...slog.Attr) {
	says := func() line { return line{level, text, about} }
	if news := srv.stats.count(&srv.stats.failed, text+" "+place, says); news > 0 {
		says().tell(srv.log, news)
	}
}

// panicked tells of a panic that is being recovered from, by where it began.
func (srv *Server) panicked(where string, p any, about ...slog.Attr) {
	at, text := panicLine(), "panic in a "+where
	says := func() line {
		return line{slog.LevelError, text, append(about, slog.Any("panic", p), slog.String("at", at))}
	}
	if news := srv.stats.count(&srv.stats.failed, text+" "+at, says); news > 0 {
		says().tell(srv.log, news, slog.String("stack", string(debug.Stack())))
	}
}

// panicLine is the line that panicked.
func panicLine() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs[:])])
	for panicking := false; ; {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			panicking = true
		case panicking && !strings.HasPrefix(f.Function, "runtime."):
			return f.File + ":" + strconv.Itoa(f.Line)
		}
		if !more {
			return ""
		}
	}
}
