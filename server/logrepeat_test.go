package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

// logTo is a log from that level on.
func logTo(log *journal, level slog.Level) server.Option {
	return server.WithLogger(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: level})))
}

// lines are those of the log that have a text.
func (j *journal) lines(text string) (some []string) {
	for line := range strings.Lines(j.String()) {
		if strings.Contains(line, text) {
			some = append(some, line)
		}
	}
	return some
}

// Whatever goes wrong with each message of each peer is told of once, and then
// once a minute with how often: each place for itself, so that none hides
// another.
func TestFailuresOfTheApplicationsCodeAreInTheLogButDoNotFillIt(t *testing.T) {
	var log journal
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		for _, ch := range []string{"/service/a", "/service/b"} {
			w.HandleService(ch, func(context.Context, *server.Session, *bayeux.Message) (any, error) {
				return nil, errors.New("database down")
			})
		}
		w.HandleService("/service/odd", func(context.Context, *server.Session, *bayeux.Message) (any, error) { return func() {}, nil })
		w.Handle("/one", func(context.Context, *server.Session, *bayeux.Message) error { panic("first") })
		w.Handle("/other", func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
			_ = m.Data[len(m.Data)]
			return nil
		})
		c := w.session()
		for i := range 150 {
			for _, ch := range []string{"/service/a", "/service/b", "/service/odd", "/one", "/other"} {
				written := ch + strings.Repeat(" ", i) // which makes no place of its own
				m := c.ask(fmt.Sprintf(`{"channel":%q,"id":"%d","clientId":"$","data":1}`, written, i))
				require.Equal(t, bayeux.Failed, m.Outcome)
			}
			time.Sleep(time.Second)
		}
		for _, of := range []string{"channel=/service/a ", "channel=/service/b ", "channel=/service/odd ", "panic=first", "index out of range"} {
			lines := log.lines(of)
			if assert.Len(t, lines, 3, of) {
				for i, times := range []string{"times=1\n", "times=60\n", "times=60\n"} {
					assert.Contains(t, lines[i], "level=ERROR")
					assert.Contains(t, lines[i], times)
					assert.Contains(t, lines[i], "session=…"+c.id[len(c.id)-8:])
				}
			}
		}
		assert.Len(t, log.lines(""), 15)
	}, server.WithTiming(server.Timing{MaxInterval: time.Hour, Timeout: time.Hour}), logTo(&log, slog.LevelInfo))
}

// Ten thousand within a minute are two lines, not one that says once; the second
// one comes soon, or with the end of the server.
func TestTheLogTellsOfTheWholeOfABurst(t *testing.T) {
	for name, c := range map[string]struct{ publish, says string }{
		"limit":   {`"channel":"/a/b/c"`, "limit=channel_segments"},
		"refusal": {`"channel":"/secret"`, "what=publish_denied"},
		"service": {`"channel":"/service/broken"`, "channel=/service/broken"},
		"panic":   {`"channel":"/panics"`, "at="},
	} {
		for _, closes := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", closes ", closes), func(t *testing.T) {
				var log journal
				synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
					w.HandleService("/service/broken", func(context.Context, *server.Session, *bayeux.Message) (any, error) {
						return nil, errors.New("database down")
					})
					w.Handle("/panics", func(context.Context, *server.Session, *bayeux.Message) error { panic("always") })
					c1 := w.session()
					for range 1000 {
						c1.ask(`{` + c.publish + `,"id":"x","clientId":"$","data":1}`)
					}
					assert.Len(t, log.lines(c.says), 1)
					if closes {
						w.end()
					} else {
						time.Sleep(75 * time.Second)
					}
					lines := log.lines(c.says)
					require.Len(t, lines, 2)
					assert.Contains(t, lines[1], "times=999\n")
					assert.Contains(t, lines[1], "session=…"+c1.id[len(c1.id)-8:])
					time.Sleep(time.Hour)
					assert.Len(t, log.lines(c.says), 2, "and no more")
				}, server.WithLimits(server.Limits{ChannelSegments: 2}), logTo(&log, slog.LevelInfo),
					server.WithPolicy(server.Policy{Publish: func(_ context.Context, _ *server.Session, p *server.Publication) error {
						if p.Channel() == "/secret" {
							return errors.New("no")
						}
						return nil
					}}))
			})
		}
	}
}

// A peer that shakes hands and leaves in a loop writes nothing into a log that
// has what an operator wants to know.
func TestSessionsThatComeAndGoAreInTheLogAtDebugOnly(t *testing.T) {
	for level, lines := range map[slog.Level]int{slog.LevelInfo: 0, slog.LevelDebug: 50} {
		var log journal
		synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
			for range 25 {
				c := w.client()
				c.handshake()
				c.ask(`{"channel":"/meta/disconnect","id":"d","clientId":"$"}`)
			}
			assert.Len(t, log.lines("msg=\"session "), lines)
		}, logTo(&log, level))
	}
}

// What goes wrong because the server closes is in the log as well.
func TestTheLogTellsOfWhatHappensWhileTheServerCloses(t *testing.T) {
	var log journal
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		w.HandleService("/service/broken", func(ctx context.Context, _ *server.Session, m *bayeux.Message) (any, error) {
			if string(m.Data) == "2" {
				<-ctx.Done()
				time.Sleep(time.Second)
			}
			return nil, errors.New("database down")
		})
		fast, slow := w.session(), w.session()
		for range 10 {
			fast.ask(`{"channel":"/service/broken","id":"x","clientId":"$","data":1}`)
		}
		slow.send(`{"channel":"/service/broken","id":"x","clientId":"$","data":2}`)
		w.settle()
		w.end()
		lines := log.lines("channel=/service/broken")
		require.Len(t, lines, 2)
		assert.Contains(t, lines[1], "times=10\n")
	}, logTo(&log, slog.LevelInfo))
}
