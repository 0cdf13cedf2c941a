//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/ext/binary/binaryserver"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/ext/timestamp/timestampserver"
	"github.com/gocometd/cometd/ext/timesync"
	"github.com/gocometd/cometd/ext/timesync/timesyncserver"
	cometdserver "github.com/gocometd/cometd/server"
)

// A world is a server with its extensions, and another session that talks to
// those on trial.
type world struct {
	addr   string // host:port
	other  extendedPeer
	srv    *cometdserver.Server // nil if it is not ours
	stamps sync.Map             // the timestamps that our server has got, by channel
}

func (w *world) URL() string { return urlOf(w.addr) }

// urlOf uses a name, not an address: some clients keep no cookies for those.
func urlOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return "http://localhost:" + port + "/cometd"
}

// publish is the fastest way to publish.
func (w *world) publish(ctx context.Context, channel string, data ...json.RawMessage) error {
	if w.srv == nil {
		return w.other.Publish(ctx, channel, data...)
	}
	for _, d := range data {
		if err := w.srv.Publish(ctx, channel, d); err != nil {
			return err
		}
	}
	return nil
}

// ahead is how far the servers' clocks are wrong, so that a client that knows
// the time has it from there.
const ahead = time.Hour

// startOurs runs our server with every extension, and others, in this process.
func startOurs(t *testing.T, more ...cometdserver.Option) *world {
	w := &world{}
	history, err := replayserver.New(replayserver.NewMemory(replayserver.Rule{Pattern: "/replay/**"}))
	require.NoError(t, err)
	w.srv, err = cometd.NewServer(append([]cometdserver.Option{
		cometdserver.WithOrigins(origin()),
		cometdserver.WithExtension(
			ackserver.New(ackserver.WithGrace(time.Minute)),
			cometdserver.Extension{Name: "ahead", Channels: []string{"/meta/*"}, Outgoing: runAhead},
			timesyncserver.New(0),
			timestampserver.New(),
			binaryserver.New("/binary/**"),
			cometdserver.Extension{Name: "stamps", Incoming: w.note},
		),
		history,
	}, more...)...)
	require.NoError(t, err)
	t.Cleanup(func() { w.srv.Close() })
	mux := http.NewServeMux()
	w.srv.Mount(mux, "/cometd")
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	t.Cleanup(func() { w.srv.Close() }) // first, because it holds connects
	w.addr = strings.TrimPrefix(web.URL, "http://")
	w.meet(t)
	return w
}

func runAhead(_ context.Context, _ *cometdserver.Session, m *bayeux.Message) error {
	var r timesync.Reply
	if ok, err := m.Ext.Decode(timesync.Name, &r); !ok || err != nil {
		return err
	}
	r.Received += ahead.Milliseconds()
	return m.Ext.Set(timesync.Name, r)
}

func (w *world) note(_ context.Context, _ *cometdserver.Session, m *bayeux.Message) error {
	w.stamps.Store(m.Channel, m.Timestamp)
	return nil
}

// startJava runs the CometD Java server with every extension.
func startJava(t *testing.T) *world {
	s := process("/cometd")(t.Output())
	s.argv = func(host, port string) []string { return append(java("Server"), host, port, "extensions") }
	require.NoError(t, s.Start())
	t.Cleanup(func() { s.End(syscall.SIGKILL) })
	w := &world{addr: "127.0.0.1:" + s.port}
	w.meet(t)
	return w
}

// meet connects the other session.
func (w *world) meet(t *testing.T) {
	other, err := openOurs(t.Output(), w.URL(), "websocket", with("binary"))
	require.NoError(t, err)
	t.Cleanup(other.Close)
	w.other = other
	require.NoError(t, other.Connect(t.Context()))
}

// echoPlainly is echo by a service that sends a message of its own, without the
// request's id, as a reference's service may.
func (r *run) echoPlainly(t *testing.T) {
	w := startOurs(t)
	w.srv.Handle("/service/echo", func(_ context.Context, s *cometdserver.Session, m *bayeux.Message) error {
		return s.Send(m.Channel, m.Data)
	})
	p, err := r.cell.open(t.Output(), w.URL())
	require.NoError(t, err)
	defer p.Close()
	require.NoError(t, p.Connect(r.ctx))
	got, err := p.Call(r.ctx, "/service/echo", sample)
	require.NoError(t, err)
	assert.JSONEq(t, string(sample), string(got))
}

// A client that sends no replay ext works with a server that keeps history: it
// gets what is published from now on.
func TestGobayeuxWorksWithoutReplay(t *testing.T) {
	const channel = "/replay/gobayeux"
	w := startOurs(t, cometdserver.WithSimpleClients(), cometdserver.WithTiming(cometdserver.Timing{Timeout: time.Second}))
	ctx, cancel := context.WithTimeout(t.Context(), scenarioTime)
	defer cancel()
	order := func(n int) json.RawMessage { return value(map[string]any{"payload": map[string]any{"n": n}}) }
	require.NoError(t, w.srv.Publish(ctx, channel, order(0)))
	events := w.srv.Events(ctx)
	p, err := gobayeux.open(t.Output(), w.URL(), "long-polling")
	require.NoError(t, err)
	defer p.Close()
	require.NoError(t, p.Connect(ctx))
	require.NoError(t, p.Subscribe(ctx, channel))
	for e := range events {
		if _, ok := e.(cometdserver.Subscribed); ok {
			break
		}
	}
	for n := 1; n < 5; n++ {
		require.NoError(t, w.srv.Publish(ctx, channel, order(n)))
	}
	expectOrders(t, ctx, p, 1, 5)
}
