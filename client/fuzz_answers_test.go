//go:build !js

package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/ext/binary"
	"github.com/gocometd/cometd/ext/once"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/timesync"
	"github.com/gocometd/cometd/internal/fuzzing"
	"github.com/gocometd/cometd/transport"
)

// A survivor is a client with all extensions whose server is odd once.
type survivor struct {
	*client.Client
	t *testing.T

	mu  sync.Mutex
	got []string // data, in the order of delivery
}

// survive runs a client in a bubble, by options made there, whose server is good
// but for what is fuzzed. In a few hours, in which no advice may keep it away
// for ever, the client must have come back and be of use, or have ended with a
// reason. delivered is what it got before that, in order.
func survive(t *testing.T, opts func() []client.Option, after func()) (delivered []string) {
	synctest.Test(t, func(t *testing.T) {
		s := &survivor{t: t}
		c, err := client.New("http://server.test/cometd", append(opts(),
			client.WithExtension(ack.Client(), replay.Client(replay.Config{First: replay.All}), new(timesync.Clock).Extension(), once.Client(), binary.Client()),
			client.WithLogger(fuzzing.Log(t, nil)),
			client.WithHooks(client.Hooks{State: func(ch client.Change) { s.judge(ch.Err) }}))...)
		require.NoError(t, err)
		s.Client = c
		ctx, cancel := context.WithCancel(t.Context())
		go c.SubscribeFunc(ctx, "/a/**", s.take)
		go c.Publish(ctx, "/b", 0)
		time.Sleep(8 * time.Hour)
		synctest.Wait()
		delivered = s.deliveries()
		s.judge(c.Err())
		select {
		case <-c.Done():
			assert.Error(t, c.Err(), "the client has ended and does not say why")
		default:
			require.Equal(t, bayeux.Connected, c.State())
			within, done := context.WithTimeout(ctx, time.Minute)
			assert.NoError(t, c.Publish(within, "/b", 1))
			done()
		}
		cancel()
		c.Close()
		<-c.Done()
		after()
	})
	return delivered
}

func (s *survivor) take(_ context.Context, m *bayeux.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, string(m.Data))
	return nil
}

func (s *survivor) deliveries() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// judge looks at what the client says of a failure: it has a type or is the
// client's own, and can stand in a log.
func (s *survivor) judge(err error) {
	if err == nil {
		return
	}
	_, broken := errors.AsType[*transport.Error](err)
	_, refused := errors.AsType[*bayeux.Error](err)
	_, garbage := errors.AsType[*codec.Error](err)
	assert.True(s.t, broken || refused || garbage || errors.Is(err, transport.ErrClosed) || strings.HasPrefix(err.Error(), "client: "), "%T %v", err, err)
	odd := func(r rune) bool { return unicode.IsControl(r) && r != '\n' } // of errors.Join
	assert.False(s.t, strings.ContainsFunc(err.Error(), odd), "%q", err)
}

// inOrder checks that what was delivered is in the payload that was sent, in that
// order: its data, or what package replay has put into an envelope.
func inOrder(t *testing.T, sent []byte, delivered []string) {
	t.Helper()
	sent = bytes.TrimPrefix(sent, []byte("\xef\xbb\xbf"))
	var events []map[string]json.RawMessage
	if json.Unmarshal(sent, &events) != nil {
		events = make([]map[string]json.RawMessage, 1)
		_ = json.Unmarshal(sent, &events[0]) // one that is no array
	}
	rest := events
	for i, data := range delivered {
		at := slices.IndexFunc(rest, func(e map[string]json.RawMessage) bool {
			var inside map[string]json.RawMessage
			_ = json.Unmarshal(e["data"], &inside)
			return string(e["data"]) == data || string(inside[replay.Envelope]) == data
		})
		if at < 0 {
			t.Fatalf("delivery %d, %q, is none of what was sent after the one before", i, data)
		}
		rest = rest[at+1:]
	}
}
