package replayserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/replayserver"
)

// A logbook is what an operator reads.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) option() replayserver.Option {
	return replayserver.WithLogger(slog.New(slog.NewJSONHandler(l, nil)))
}

// lines are those that have been written since the last call.
func (l *logbook) lines(t *testing.T) (all []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		all = append(all, map[string]any{})
		require.NoError(t, json.Unmarshal([]byte(line), &all[len(all)-1]))
	}
	l.text.Reset()
	return all
}

// A spoiled store has something else in the place of some messages.
type spoiled struct {
	*replayserver.Memory
	with map[string]string // by what was published
}

func (s *spoiled) message(m replayserver.Message) replayserver.Message {
	for text, with := range s.with {
		if strings.HasSuffix(string(m.Data), `"replay.data":`+text+`}`) {
			m.Data = []byte(with)
		}
	}
	return m
}

func (s *spoiled) Read(ctx context.Context, pattern string, after, upTo replay.ID, each func(replayserver.Message) bool) error {
	return s.Memory.Read(ctx, pattern, after, upTo, func(m replayserver.Message) bool { return each(s.message(m)) })
}

func (s *spoiled) Tail(pattern string, n int) ([]replayserver.Message, error) {
	all, err := s.Memory.Tail(pattern, n)
	for i := range all {
		all[i] = s.message(all[i])
	}
	return all, err
}

// A client that goes on from before messages that are spoiled is told of a gap, once,
// gets all others, and is with the present at the end: on a channel and on a pattern.
func TestWhoMissesASpoiledMessageIsToldAndGoesOn(t *testing.T) {
	for _, pattern := range []string{"/a", "/*"} {
		synctest.Test(t, func(t *testing.T) {
			s := &spoiled{replayserver.NewMemory(everything...), map[string]string{"2": `{"event":{"re`, "4": ""}}
			var log logbook
			srv := serve(t, s, log.option())
			publish(t, srv, "/a", 6)
			first, err := s.Memory.Tail("/a", 6)
			require.NoError(t, err)
			positions := new(replay.Memory)
			require.NoError(t, positions.Save(t.Context(), pattern, first[0].ID))
			c := dial(t, srv, client.WithExtension(replay.Client(replay.Config{Store: positions})))
			var gaps []client.Gap
			var got []string
			_, err = c.SubscribeFunc(t.Context(), pattern, func(_ context.Context, m *bayeux.Message) error {
				got = append(got, string(m.Data))
				return nil
			}, client.WithOnGap(func(g client.Gap) { gaps = append(gaps, g) }))
			require.NoError(t, err)
			time.Sleep(time.Hour)
			require.NoError(t, srv.Publish(t.Context(), "/a", "now"))
			synctest.Wait()
			if got[0] == "1" { // it was on its way when the session ended, and may have come
				got = got[1:]
			}
			assert.Equal(t, []string{"0", "1", "3", "5", `"now"`}, got)
			assert.Len(t, gaps, 1)
			lines := log.lines(t)
			require.NotEmpty(t, lines)
			assert.Equal(t, "ERROR", lines[0]["level"])
			assert.Equal(t, "/a", lines[0]["channel"])
			assert.EqualValues(t, first[2].ID, lines[0]["id"])
			c.Close()
			srv.Close()
		})
	}
}

// Who asks for what is there, or for the last messages, gets what can be read.
func TestASpoiledMessageIsLeftOutOfWhatIsThere(t *testing.T) {
	for name, ext := range map[string]string{
		"all":            `{"replay":{"/a":-2}}`,
		"all, with mark": `{"replay":{"/a":-2},"replay.marks":{"/a":7}}`,
		"the last":       `{}`,
		"the last, mark": `{"replay.marks":{"/a":7}}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &spoiled{replayserver.NewMemory(everything...), map[string]string{"2": `{"event":`, "3": "", "5": `x`}}
				var log logbook
				srv := serve(t, s, log.option(), replayserver.WithLast("/a", 6))
				publish(t, srv, "/a", 6)
				c := open(t, srv, `,"ext":{"replay.marks":true}`)
				c.say(`{"channel":"/meta/subscribe","id":"s","clientId":"$","subscription":"/a","ext":` + ext + `}`)
				assert.Equal(t, map[string][]int{"/a": {0, 1, 4}}, c.data(3))
				synctest.Wait()
				publish(t, srv, "/a", 1)
				assert.Equal(t, map[string][]int{"/a": {0}}, c.data(1))
				assert.NotNil(t, srv.Session(c.id))
				assert.Len(t, log.lines(t), 1, "a minute has one line")
				srv.Close()
			})
		})
	}
}

// A store that cannot be read costs its subscribers one session after the other:
// an operator must hear of it, but not of each.
func TestAStoreThatCannotBeReadIsLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &failing{Memory: replayserver.NewMemory(everything...), read: true}
		var log logbook
		srv := serve(t, s, log.option())
		publish(t, srv, "/a", 1)
		fail := func() {
			c := open(t, srv)
			c.subscribe("/a")
			synctest.Wait()
			assert.Nil(t, srv.Session(c.id))
		}
		for range 3 {
			fail()
		}
		lines := log.lines(t)
		require.Len(t, lines, 1)
		assert.Equal(t, "ERROR", lines[0]["level"])
		assert.Equal(t, "/a", lines[0]["channel"])
		assert.Equal(t, errDisk.Error(), lines[0]["err"])
		time.Sleep(time.Minute)
		fail()
		lines = log.lines(t)
		require.Len(t, lines, 1)
		assert.EqualValues(t, 3, lines[0]["times"])
		srv.Close()
	})
}

// What is gone because a rule says so, and who has left, is nothing to mend.
func TestWhatTheRulesTakeAwayIsNotLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &trimmed{replayserver.NewMemory(everything...)}
		var log logbook
		srv := serve(t, s, log.option())
		publish(t, srv, "/a", 1)
		c := open(t, srv)
		c.subscribe("/a")
		synctest.Wait()
		assert.Nil(t, srv.Session(c.id))
		assert.Empty(t, log.lines(t))
		srv.Close()
	})
}

// A trimmed store has nothing left by the time it is read.
type trimmed struct{ *replayserver.Memory }

func (*trimmed) Read(context.Context, string, replay.ID, replay.ID, func(replayserver.Message) bool) error {
	return replayserver.ErrTrimmed
}

// A program that makes its options from what it has may have no log.
func TestNoLoggerIsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := serve(t, &failing{Memory: replayserver.NewMemory(everything...), read: true}, replayserver.WithLogger(nil))
		publish(t, srv, "/a", 1)
		c := open(t, srv)
		c.subscribe("/a")
		synctest.Wait()
		assert.Nil(t, srv.Session(c.id))
		srv.Close()
	})
}
