//go:build interop

package interop

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/ext/activity"
	"github.com/gocometd/cometd/ext/binary/binaryserver"
	"github.com/gocometd/cometd/ext/replay"
	cometdserver "github.com/gocometd/cometd/server"
)

// An extension is one column of the second table.
type extension struct {
	name string
	run  func(r *extensionRun, t *testing.T)
}

var extensions = []extension{
	{"ack", (*extensionRun).storm},
	{"timesync", (*extensionRun).timesync},
	{"timestamp", (*extensionRun).timestamp},
	{"binary", (*extensionRun).binary},
	{"reload", (*extensionRun).reload},
	{"activity", (*extensionRun).activity},
	{"replay", (*extensionRun).replay},
}

// An extensionCell is a row: a client, a transport and a server.
type extensionCell struct {
	client, server, transport string
	start                     func(t *testing.T) *world
	make                      func(log io.Writer, url, transport string, o options) (extendedPeer, error)
	ours                      bool // the client drops what comes twice
	cutEvery                  int  // bytes of a connection until the storm cuts it, on average
	not                       map[string]string
}

// An extensionRun is a row while it is tried.
type extensionRun struct {
	extensionCell
	world *world
}

// extendedProgram is program for a driver that takes options.
func extendedProgram(argv ...string) func(log io.Writer, url, transport string, o options) (extendedPeer, error) {
	return func(log io.Writer, url, transport string, o options) (extendedPeer, error) {
		return startDriver(log, append(argv, url, transport, o.String())...)
	}
}

func openExtendedPage(_ io.Writer, url, transport string, o options) (extendedPeer, error) {
	return openPage(url, transport, o)
}

// A reference server sends events in frames before the reply with their number,
// and on each connection again all those whose number has not come through: if
// it is cut too often they become more and more, and none ever does.
const (
	often  = 48 << 10
	seldom = 256 << 10
)

func extensionCells() []extensionCell {
	noPage := map[string]string{"reload": "it is no page"}
	noReplay := map[string]string{"replay": "it has no such extension"}
	noServer := map[string]string{
		"activity": "a matter of our server alone",
		"replay":   "it has no such extension",
	}
	node, java, page := extendedProgram("node", "js/cometd-node.mjs"), extendedProgram(java("Client")...), openExtendedPage
	salesforce := extendedProgram("python/.venv/bin/python", "python/salesforce.py")
	replayOnly := map[string]string{}
	for _, x := range extensions {
		if x.name != "replay" {
			replayOnly[x.name] = "it has replay only"
		}
	}
	rows := []extensionCell{
		{client: cometdChromium.name, server: ourServer.name, start: startAll, make: page, not: noReplay},
		{client: cometdNode.name, server: ourServer.name, start: startAll, make: node, not: merged(noPage, noReplay)},
		{client: cometdJava.name, server: ourServer.name, start: startAll, make: java, not: merged(noPage, noReplay)},
		{client: "aiosfstream-ng " + pip("aiosfstream-ng"), server: ourServer.name, start: startAll, make: salesforce, not: replayOnly},
		{client: ourClient.name, server: ourServer.name, start: startAll, make: openOurs, not: noPage, ours: true},
		{client: ourClient.name, server: javaServer.name, start: startJava, make: openOurs, not: merged(noPage, noServer), ours: true, cutEvery: seldom},
	}
	var cells []extensionCell
	for _, row := range rows {
		for _, row.transport = range both {
			row.cutEvery = cmp.Or(row.cutEvery, often)
			cells = append(cells, row)
		}
	}
	return cells
}

func merged(a, b map[string]string) map[string]string {
	c := maps.Clone(a)
	maps.Copy(c, b)
	return c
}

func startAll(t *testing.T) *world { return startOurs(t) }

// Every peer's extensions work with ours, in both directions.
func TestExtensions(t *testing.T) {
	var done table
	for _, x := range extensions {
		done.columns = append(done.columns, x.name)
	}
	rows := extensionCells()
	for _, c := range rows {
		name := strings.Join([]string{c.client, c.server, c.transport}, "/")
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			done.add(c.client, c.server, c.transport, c.not, c.try(t))
		})
	}
	fmt.Printf("\n%s\n", done.markdown())
	if len(done.rows) == len(rows) {
		t.Run("documents", func(t *testing.T) { checkDocuments(t, "extension table", done.markdown()) })
	}
}

func (c extensionCell) try(t *testing.T) (passed map[string]bool) {
	passed = map[string]bool{}
	r := &extensionRun{c, c.start(t)}
	for _, x := range extensions {
		if c.not[x.name] == "" {
			passed[x.name] = t.Run(x.name, func(t *testing.T) { x.run(r, t) })
		}
	}
	return passed
}

// open starts a session on trial, which ends with the test.
func (r *extensionRun) open(t *testing.T, url string, o options) extendedPeer {
	p, err := r.make(t.Output(), url, r.transport, o)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// connect is open and Connect, with a context for the test.
func (r *extensionRun) connect(t *testing.T, w *world, o options) (context.Context, extendedPeer) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), scenarioTime, errors.New("the test's time is up"))
	t.Cleanup(cancel)
	p := r.open(t, w.URL(), o)
	require.NoError(t, p.Connect(ctx))
	return ctx, p
}

// await asks for the peer's state until it is as it should be.
func awaitState(t *testing.T, ctx context.Context, p extendedPeer, good func(state) bool) state {
	t.Helper()
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for {
		s, err := p.State(ctx)
		require.NoError(t, err)
		if good(s) {
			return s
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			require.Fail(t, "time is up", "%+v", s)
		}
	}
}

// The client finds out that the server's clock is an hour ahead.
func (r *extensionRun) timesync(t *testing.T) {
	ctx, p := r.connect(t, r.world, with("timesync"))
	awaitState(t, ctx, p, func(s state) bool {
		off := time.Duration(s.Offset)*time.Millisecond - ahead
		return off.Abs() < 10*time.Second
	})
}

// The server gets the client's times, and the client the server's.
func (r *extensionRun) timestamp(t *testing.T) {
	const channel = "/timestamp"
	ctx, p := r.connect(t, r.world, with("timestamp"))
	require.NoError(t, p.Publish(ctx, channel, sample))
	awaitState(t, ctx, p, func(s state) bool { return s.Timestamp != "" })
	if r.world.srv != nil {
		stamp, _ := r.world.stamps.Load(channel)
		assert.NotEmpty(t, stamp)
	}
}

// Bytes come as they were sent, from and to the client, whatever their number
// is modulo four.
func (r *extensionRun) binary(t *testing.T) {
	const to, from = "/binary/to", "/binary/from"
	w := r.world
	ctx, p := r.connect(t, w, with("binary"))
	require.NoError(t, p.Subscribe(ctx, to))
	require.NoError(t, w.other.Subscribe(ctx, from))
	for _, size := range []int{1, 2, 3, 4, 5, 256, 30_001} {
		f := file{Bytes: make([]byte, size), Last: size > 256, Meta: map[string]string{"name": strconv.Itoa(size)}}
		for i := range f.Bytes {
			f.Bytes[i] = byte(rand.Uint32())
		}
		require.NoError(t, w.other.PublishBinary(ctx, to, f))
		expectFile(t, ctx, p, f)
		require.NoError(t, p.PublishBinary(ctx, from, f))
		expectFile(t, ctx, w.other, f)
		if w.srv != nil {
			require.NoError(t, binaryserver.Publish(ctx, w.srv, to, f.data()))
			expectFile(t, ctx, p, f)
		}
	}
}

func expectFile(t *testing.T, ctx context.Context, p extendedPeer, want file) {
	t.Helper()
	m, err := p.Next(ctx)
	require.NoError(t, err)
	got, err := p.File(m)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// A page that is loaded again goes on with its session, and gets what was
// published meanwhile.
func (r *extensionRun) reload(t *testing.T) {
	const channel = "/reload"
	ctx, p := r.connect(t, r.world, with("reload", "ack"))
	require.NoError(t, p.Subscribe(ctx, channel))
	require.NoError(t, r.world.publish(ctx, channel, value("before")))
	require.NoError(t, expect(ctx, p, channel, value("before"))) // with a connect, which the extension must have seen
	before, err := p.State(ctx)
	require.NoError(t, err)
	for n := range 3 {
		require.NoError(t, p.Reload(ctx))
		require.NoError(t, r.world.publish(ctx, channel, value(n)))
		require.NoError(t, p.Connect(ctx))
		after := value(fmt.Sprint("after ", n))
		require.NoError(t, r.world.publish(ctx, channel, after))
		// Behind what comes again: the page may have been left before its next
		// connect acknowledged the last of it.
		require.NoError(t, drain(ctx, p, channel, value(n)))
		require.NoError(t, drain(ctx, p, channel, after))
		now, err := p.State(ctx)
		require.NoError(t, err)
		assert.Equal(t, before.Session, now.Session)
	}
}

// A client that sends nothing but connects is told to go, and goes.
func (r *extensionRun) activity(t *testing.T) {
	w := startOurs(t,
		cometdserver.WithTiming(cometdserver.Timing{Timeout: time.Second}),
		cometdserver.WithExtension(activity.Server(activity.Client, time.Second)))
	ctx, p := r.connect(t, w, with())
	before, err := p.State(ctx)
	require.NoError(t, err)
	awaitState(t, ctx, p, func(s state) bool { return !s.Connected })
	assert.Nil(t, w.srv.Session(before.Session))
}

// The client gets all of the past, then the present; from an id on, what came
// after it.
func (r *extensionRun) replay(t *testing.T) {
	const channel = "/replay/orders"
	order := func(n int) json.RawMessage {
		return value(map[string]any{"payload": map[string]any{"CreatedDate": "2026-01-01T00:00:00Z", "n": n}})
	}
	publish := func(n int) { require.NoError(t, r.world.srv.Publish(t.Context(), channel, order(n))) }
	for n := range 10 {
		publish(n)
	}
	o := with("replay")
	o.Replay = int64(replay.All)
	ctx, p := r.connect(t, r.world, o)
	require.NoError(t, p.Subscribe(ctx, channel))
	publish(10)
	ids := expectOrders(t, ctx, p, 0, 11)

	o.Replay = ids[6]
	ctx, p = r.connect(t, r.world, o)
	require.NoError(t, p.Subscribe(ctx, channel))
	publish(11)
	assert.Equal(t, ids[7:], expectOrders(t, ctx, p, 7, 12)[:4])
}

// expectOrders reads the orders of these numbers and returns their ids.
func expectOrders(t *testing.T, ctx context.Context, p peer, from, to int) (ids []int64) {
	t.Helper()
	for n := from; n < to; n++ {
		m, err := p.Next(ctx)
		require.NoError(t, err)
		var order struct{ Payload struct{ N int } }
		require.NoError(t, json.Unmarshal(m.Data, &order))
		require.Equal(t, n, order.Payload.N)
		id, ok := replay.IDOf(m.Data)
		require.True(t, ok, "%s has no id", m.Data)
		ids = append(ids, int64(id))
	}
	return ids
}
