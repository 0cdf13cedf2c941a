//go:build !js

package wsserver_test

import (
	"testing"
	"time"

	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/transporttest"
	"github.com/gocometd/cometd/wsclient"
	"github.com/gocometd/cometd/wsserver"
)

// Compression makes the suite's payloads small, so that it takes many to fill
// the kernel; hence the extra shrinking.
func TestPromises(t *testing.T) {
	for _, c := range []struct {
		name    string
		tls     bool
		server  []wsserver.Option
		client  []wsclient.Option
		starter bool
		shrink  int
	}{
		{name: "plain", starter: true},
		{name: "TLS", tls: true},
		{
			name:    "compressed, with pings without a pause",
			server:  []wsserver.Option{wsserver.WithCompression(100), wsserver.WithPing(time.Millisecond, time.Minute)},
			client:  []wsclient.Option{wsclient.WithCompression(1000), wsclient.WithPing(time.Millisecond, time.Minute)},
			starter: true,
			shrink:  2,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			transporttest.Run(t, func(t testing.TB, limit int, serve func(transport.Conn)) transporttest.Dial {
				h := newHost(t, wsserver.NewAcceptor(append(c.server, wsserver.WithSendBuffer(kernelBuffer>>c.shrink))...), c.tls, transport.Accept{Limit: limit, Stall: 10 * time.Second}, func(conn transport.Conn) {
					_, ok := conn.(transport.Starter)
					if ok != c.starter {
						t.Errorf("a Starter: %v", ok)
					}
					serve(conn)
				})
				d := wsclient.NewDialer(c.client...)
				return func() (transport.Conn, error) { return d.Dial(t.Context(), h.target(limit)) }
			})
		})
	}
}
