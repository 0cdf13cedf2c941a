//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A scenario is one promise, tried between a peer and another session of the
// same server. Scenarios run in this order, on the same two sessions.
type scenario struct {
	name string
	run  func(r *run, t *testing.T)
}

var scenarios = []scenario{
	{"handshake", (*run).handshake},
	{"subscribe", (*run).subscribed},
	{"publish", (*run).publish},
	{"delivery", (*run).delivery},
	{"wildcard", (*run).wildcard},
	{"unsubscribe", (*run).unsubscribe},
	{"service echo", (*run).echo},
	{"1,000 in order", (*run).order},
	{"1,000 of its own", (*run).own},
	{"50 KB", (*run).large},
	{"crash and restart", (*run).crash},
	{"shutdown and restart", (*run).shutdown},
	{"cuts", (*run).cuts},
	{"stalls", (*run).stalls},
	{"no upgrade", (*run).noUpgrade},
	{"disconnect", (*run).disconnect},
}

// A run is one cell of the table while it is tried.
type run struct {
	cell
	server *server
	p      peer // on trial
	other  peer // talks to it
	ctx    context.Context
}

func (r *run) handshake(t *testing.T) {
	require.NoError(t, r.p.Connect(r.ctx))
	require.NoError(t, r.other.Connect(r.ctx), "the other session")
}

func (r *run) subscribed(t *testing.T) { r.subscribe(t, "/interop/subscribe") }

func (r *run) publish(t *testing.T) {
	const channel = "/interop/publish"
	require.NoError(t, r.other.Subscribe(r.ctx, channel))
	require.NoError(t, r.p.Publish(r.ctx, channel, sample), "no acknowledgement")
	require.NoError(t, expect(r.ctx, r.other, channel, sample))
}

func (r *run) delivery(t *testing.T) {
	const channel = "/interop/delivery"
	r.subscribe(t, channel)
	require.NoError(t, r.other.Publish(r.ctx, channel, sample))
	require.NoError(t, expect(r.ctx, r.p, channel, sample))
}

func (r *run) wildcard(t *testing.T) {
	r.subscribe(t, "/interop/one/*")
	require.NoError(t, r.other.Publish(r.ctx, "/interop/one/too/deep", value("no")))
	require.NoError(t, r.other.Publish(r.ctx, "/interop/one/b", value("yes")))
	require.NoError(t, expect(r.ctx, r.p, "/interop/one/b", value("yes")))

	r.subscribe(t, "/interop/all/**")
	require.NoError(t, r.other.Publish(r.ctx, "/interop/all/a/b/c", value("deep")))
	require.NoError(t, expect(r.ctx, r.p, "/interop/all/a/b/c", value("deep")))
}

func (r *run) unsubscribe(t *testing.T) {
	const channel, after = "/interop/unsubscribe", "/interop/still-subscribed"
	r.subscribe(t, channel)
	r.subscribe(t, after)
	require.NoError(t, r.other.Publish(r.ctx, channel, value("before")))
	require.NoError(t, expect(r.ctx, r.p, channel, value("before")))

	require.NoError(t, r.p.Unsubscribe(r.ctx, channel))
	require.NoError(t, r.other.Publish(r.ctx, channel, value("after")))
	require.NoError(t, r.other.Publish(r.ctx, after, value("end")))
	require.NoError(t, expect(r.ctx, r.p, after, value("end")), "delivery went on")
}

func (r *run) echo(t *testing.T) {
	if r.plainEcho {
		r.echoPlainly(t)
		return
	}
	got, err := r.p.Call(r.ctx, "/service/echo", sample)
	require.NoError(t, err)
	assert.JSONEq(t, string(sample), string(got))
}

func (r *run) order(t *testing.T) {
	r.subscribe(t, "/interop/order/in")
	require.NoError(t, r.other.Publish(r.ctx, "/interop/order/in", thousand...))
	require.NoError(t, expect(r.ctx, r.p, "/interop/order/in", thousand...))
	if r.can("publish") {
		require.NoError(t, r.other.Subscribe(r.ctx, "/interop/order/out"))
		require.NoError(t, r.p.Publish(r.ctx, "/interop/order/out", thousand...))
		require.NoError(t, expect(r.ctx, r.other, "/interop/order/out", thousand...))
	}
}

// own is about long-polling, where a delivery may travel with the answer to a
// publish or to the connect, on two connections that race.
func (r *run) own(t *testing.T) {
	r.subscribe(t, "/interop/order/own")
	require.NoError(t, r.p.Publish(r.ctx, "/interop/order/own", thousand...))
	require.NoError(t, expect(r.ctx, r.p, "/interop/order/own", thousand...))
}

func (r *run) large(t *testing.T) {
	data := value(strings.Repeat("50 KB, or 51,200 bytes. ", 2134)[:50<<10])
	r.subscribe(t, "/interop/large/in")
	require.NoError(t, r.other.Publish(r.ctx, "/interop/large/in", data))
	require.NoError(t, expect(r.ctx, r.p, "/interop/large/in", data))
	if r.can("publish") {
		require.NoError(t, r.other.Subscribe(r.ctx, "/interop/large/out"))
		require.NoError(t, r.p.Publish(r.ctx, "/interop/large/out", data))
		require.NoError(t, expect(r.ctx, r.other, "/interop/large/out", data))
	}
}

func (r *run) crash(t *testing.T)    { r.restart(t, syscall.SIGKILL) }
func (r *run) shutdown(t *testing.T) { r.restart(t, syscall.SIGTERM) }

// restart ends the server and starts another in its place, which knows none of
// its sessions: by itself the peer must make a new one, hear what it had
// subscribed to, and publish.
func (r *run) restart(t *testing.T, signal syscall.Signal) {
	const channel, back = "/interop/restart", "/interop/restart/back"
	r.subscribe(t, channel)
	require.NoError(t, r.server.End(signal))
	require.NoError(t, r.server.Start())
	r.replaceOther(t)
	require.NoError(t, r.other.Subscribe(r.ctx, back))

	r.probe(t, channel)
	r.publishBack(t, back, value("back"))
	require.NoError(t, expect(r.ctx, r.other, back, value("back")))
}

// publishBack has the peer publish until that is acknowledged.
func (r *run) publishBack(t *testing.T, channel string, data json.RawMessage) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
		err := r.p.Publish(ctx, channel, data)
		cancel()
		if err == nil {
			return
		}
		require.NoError(t, r.ctx.Err(), "it cannot publish: %v", err)
	}
}

func (r *run) disconnect(t *testing.T) { require.NoError(t, r.p.Disconnect(r.ctx)) }

// replaceOther ends the other session, which a restart is no trial of, and
// starts another.
func (r *run) replaceOther(t *testing.T) {
	r.other.Close()
	other, err := r.cell.other(t.Output(), r.server.URL())
	require.NoError(t, err)
	r.other = other
	require.NoError(t, other.Connect(r.ctx))
}

// subscribe subscribes the peer and makes sure of it.
func (r *run) subscribe(t *testing.T, channel string) {
	t.Helper()
	require.NoError(t, r.p.Subscribe(r.ctx, channel))
	if r.blind {
		r.probe(t, strings.NewReplacer("/**", "/probe", "/*", "/probe").Replace(channel))
	}
}

// probe publishes to channel until the peer receives what was published last,
// and so no probe is left on its way.
func (r *run) probe(t *testing.T, channel string) {
	t.Helper()
	for n := 0; ; n++ {
		probe := value(fmt.Sprintf("probe %d", n))
		require.NoError(t, r.other.Publish(r.ctx, channel, probe))
		ctx, cancel := context.WithTimeout(r.ctx, 500*time.Millisecond)
		err := drain(ctx, r.p, channel, probe)
		cancel()
		if err == nil {
			return
		}
		require.NoError(t, r.ctx.Err(), "nothing arrives on %s", channel)
	}
}

// drain reads until data arrives on channel.
func drain(ctx context.Context, p peer, channel string, data json.RawMessage) error {
	for {
		m, err := p.Next(ctx)
		if err != nil {
			return err
		}
		if m.Channel == channel && string(m.Data) == string(data) {
			return nil
		}
	}
}

// expect reads exactly these messages, in this order.
func expect(ctx context.Context, p peer, channel string, data ...json.RawMessage) error {
	for i, want := range data {
		got, err := p.Next(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("message %d of %d on %s has not come: %w", i+1, len(data), channel, err)
		case got.Channel != channel || !assert.JSONEq(quiet{}, string(want), string(got.Data)):
			return fmt.Errorf("message %d of %d on %s: got %.200s on %s, want %.200s", i+1, len(data), channel, got.Data, got.Channel, want)
		}
	}
	return nil
}

// quiet is a T for a comparison that is not yet a failure.
type quiet struct{}

func (quiet) Errorf(string, ...any) {}

// sample is data that an encoder may get wrong. It has no empty array within
// an array: over HTTP, CometD Java on either end takes that for bad JSON.
var sample = json.RawMessage(`{"text":"é € 😀 \u2028 \" \\ / <b>","numbers":[0,-1.5,1e10],"empty":["",null,false,{}],"list":[]}`)

// thousand is the numbers from 0 to 999.
var thousand = func() (numbers []json.RawMessage) {
	for i := range 1000 {
		numbers = append(numbers, value(i))
	}
	return numbers
}()

func value(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
