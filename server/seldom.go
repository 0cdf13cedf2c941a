package server

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// seldomPause is how far apart two lines of the log about one thing are that
// peers can bring about at will: an operator wants to know, and an attack must not
// fill the disk.
const seldomPause = time.Minute

// repeats are how often something has happened that may happen with each message.
type repeats struct {
	times  uint64
	told   uint64 // of them in the log
	logged time.Time
}

// again counts one more, and returns how many a line of the log is to tell of
// now; 0: no line.
func (r *repeats) again(now time.Time) (news uint64) {
	r.times++
	if r.told > 0 && now.Sub(r.logged) < seldomPause {
		return 0
	}
	news = r.times - r.told
	r.told, r.logged = r.times, now
	return news
}

// again counts one more of a kind, as repeats.again does.
func (c *counters) again(kinds *map[string]*repeats, kind string) (news uint64) {
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
	return r.again(time.Now())
}

// seldom tells the log of what goes wrong in the server or in the application's
// code, which peers may have happen with each message: once, and then once a
// minute, with how often, for each text and place. Of places there are no more
// than the program has.
func (s *Server) seldom(level slog.Level, text, place string, about ...slog.Attr) {
	if news := s.stats.again(&s.stats.failed, text+" "+place); news > 0 {
		s.log.LogAttrs(context.Background(), level, text, append(about, slog.Uint64("times", news))...)
	}
}

// panicked tells of a panic that is being recovered from, by where it began.
func (s *Server) panicked(where string, p any, about ...slog.Attr) {
	text := "panic in a " + where
	if news := s.stats.again(&s.stats.failed, text+" "+panicLine()); news > 0 {
		about = append(about, slog.Any("panic", p), slog.String("stack", string(debug.Stack())), slog.Uint64("times", news))
		s.log.LogAttrs(context.Background(), slog.LevelError, text, about...)
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
