// Package fuzzing is what fuzz targets share: what goes wrong beside the
// goroutine that fuzzes becomes a crash, which go test records with its input.
package fuzzing

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"log/slog"
	"runtime/debug"
	"testing"
	"time"
)

// patience is how long one input may take: a thousand times what most do, and
// less than the shortest time for which a target is fuzzed.
const patience = 10 * time.Second

// Watch makes an input that hangs a crash. Without it go test waits for such an
// input until its time is over, stops it, and says that all was well. Called in a
// bubble of testing/synctest it would watch fake time: call it before.
func Watch(t testing.TB) { watch(t, patience) }

func watch(t testing.TB, d time.Duration) {
	name := t.Name()
	timer := time.AfterFunc(d, func() {
		debug.SetTraceback("all")
		panic(fmt.Sprintf("%s: the input has not come to its end within %v", name, d))
	})
	t.Cleanup(func() { timer.Stop() })
}

// Log is a log that fails t where an error is told, such as a panic that the
// server has caught. What the test itself panics with may be.
func Log(t testing.TB, own any) *slog.Logger { return slog.New(&judge{t: t, own: own}) }

type judge struct {
	t   testing.TB
	own any
}

func (*judge) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (j *judge) WithAttrs([]slog.Attr) slog.Handler         { return j }
func (j *judge) WithGroup(string) slog.Handler              { return j }

func (j *judge) Handle(_ context.Context, r slog.Record) error {
	said, allowed := r.Message, false
	r.Attrs(func(a slog.Attr) bool {
		allowed = allowed || a.Key == "panic" && a.Value.Any() == j.own
		said += "\n" + a.String()
		return true
	})
	if !allowed {
		j.t.Error(said)
	}
	return nil
}

// ErrorLog is for an http.Server: a panic that it has caught, or a use that it
// complains about, ends the process, as a panic elsewhere does.
func ErrorLog() *log.Logger { return log.New(fatal{}, "", 0) }

type fatal struct{}

func (fatal) Write(p []byte) (int, error) {
	for _, ours := range []string{"panic", "WriteHeader", "hijacked"} {
		if bytes.Contains(p, []byte(ours)) {
			panic(string(p))
		}
	}
	return len(p), nil
}
