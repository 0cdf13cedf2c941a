package replayserver_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/server"
)

// failing is a store whose disk is gone as far as one of its functions goes.
type failing struct {
	*replayserver.Memory
	bounds, read, append bool
}

var errDisk = errors.New("the disk is gone")

func (f *failing) Bounds(pattern string) (gone, last replay.ID, err error) {
	if f.bounds {
		return 0, 0, errDisk
	}
	return f.Memory.Bounds(pattern)
}

func (f *failing) Read(ctx context.Context, pattern string, after, upTo replay.ID, each func(replayserver.Message) bool) error {
	if f.read {
		return errDisk
	}
	return f.Memory.Read(ctx, pattern, after, upTo, each)
}

func (f *failing) Append(ch string, compose func(replay.ID) []byte, kept func(replay.ID, []byte, error)) {
	if f.append {
		kept(0, nil, errDisk)
		return
	}
	f.Memory.Append(ch, compose, kept)
}

func TestAStoreThatCannotBeReadIsAnErrorOfNew(t *testing.T) {
	_, err := replayserver.New(&failing{Memory: replayserver.NewMemory(everything...), bounds: true})
	assert.ErrorIs(t, err, errDisk)
}

func TestWhatIsNotKeptIsNeitherTakenNorDelivered(t *testing.T) {
	s := &failing{Memory: replayserver.NewMemory(everything...)}
	srv := serve(t, s)
	defer srv.Close()
	c := dial(t, srv)
	defer c.Close()
	sub, err := c.Subscribe(t.Context(), "/a")
	require.NoError(t, err)
	s.append = true
	assert.ErrorIs(t, srv.Publish(t.Context(), "/a", "lost"), errDisk)
	assert.ErrorContains(t, c.Publish(t.Context(), "/a", "lost"), "history_failed")
	s.append = false
	require.NoError(t, srv.Publish(t.Context(), "/a", "kept"))
	for m := range sub.Messages(t.Context()) {
		assert.Contains(t, string(m.Data), "kept")
		break
	}
}

// Who asks for a past that cannot be read is refused, or loses the session, and
// does not go on as if there had been none.
func TestAPastThatCannotBeReadIsNotAnEmptyOne(t *testing.T) {
	s := &failing{Memory: replayserver.NewMemory(everything...)}
	srv := serve(t, s)
	defer srv.Close()
	require.NoError(t, srv.Publish(t.Context(), "/a", 1))
	_, last, err := s.Bounds("/a")
	require.NoError(t, err)
	at := func(id replay.ID) client.SubOption {
		var ext bayeux.Ext
		require.NoError(t, ext.Set("replay", map[string]replay.ID{"/a": id}))
		return client.WithSubscribeExt(ext)
	}
	c := dial(t, srv)
	defer c.Close()
	s.bounds = true
	_, err = c.Subscribe(t.Context(), "/a", at(last))
	assert.Error(t, err)
	s.bounds, s.read = false, true
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := srv.Events(ctx)
	_, err = c.Subscribe(t.Context(), "/a", at(replay.All))
	require.NoError(t, err)
	for ev := range events {
		if _, ok := ev.(server.SessionRemoved); ok {
			break
		}
	}
}

// What cannot be read is the end of the past: the present that waits for it must
// not come in its place, or its client goes on from there and nobody tells it what
// lies between.
func TestNothingFollowsAPastWhoseEndCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &cutShort{restless: restless{Memory: replayserver.NewMemory(everything...)}, appended: make(chan struct{})}
		h, err := replayserver.New(s)
		require.NoError(t, err)
		reached := map[string]int{}
		srv, err := server.New(h, server.WithHooks(server.Hooks{Published: func(_ string, subscribers, _ int) { reached["/a"] += subscribers }}))
		require.NoError(t, err)
		publish(t, srv, "/a", 3)
		said := make(chan error, 1)
		s.publish = func(read int) {
			if read <= 4 {
				publish(t, srv, "/a", 1)
				return
			}
			s.ending = true
			go func() { said <- srv.Publish(t.Context(), "/a", "the present") }()
			<-s.appended // and waits for the reader
		}
		c := open(t, srv, `,"ext":{"replay.marks":true}`)
		c.say(`{"channel":"/meta/subscribe","id":"s","clientId":"$","subscription":"/a","ext":{"replay":{"/a":-2},"replay.marks":{"/a":7}}}`)
		require.NoError(t, <-said)
		synctest.Wait()
		assert.Zero(t, reached["/a"])
		assert.Nil(t, srv.Session(c.id))
		srv.Close()
		heard := ""
		for r, err := c.Receive(); err == nil; r, err = c.Receive() {
			text, err := io.ReadAll(r)
			require.NoError(t, err)
			heard += string(text)
		}
		assert.Contains(t, heard, `"/a"`)
		assert.NotContains(t, heard, "the present")
		assert.NotContains(t, heard, replay.Channel)
	})
}

// A cutShort store cannot read the end.
type cutShort struct {
	restless
	ending   bool
	appended chan struct{}
}

func (s *cutShort) Read(ctx context.Context, pattern string, after, upTo replay.ID, each func(replayserver.Message) bool) error {
	if err := s.restless.Read(ctx, pattern, after, upTo, each); err != nil || !s.ending {
		return err
	}
	return errDisk
}

func (s *cutShort) Append(ch string, compose func(replay.ID) []byte, kept func(replay.ID, []byte, error)) {
	s.Memory.Append(ch, compose, func(id replay.ID, data []byte, err error) {
		if s.ending {
			close(s.appended)
		}
		kept(id, data, err)
	})
}
