package once_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/once"
	"github.com/gocometd/cometd/ext/once/onceserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// A deaf Dialer loses everything that arrives while deaf, and breaks then.
type deaf struct {
	transport.Dialer
	deaf bool
}

type deafConn struct {
	transport.Conn
	d *deaf
}

func (d *deaf) Dial(ctx context.Context, t *transport.Target) (transport.Conn, error) {
	c, err := d.Dialer.Dial(ctx, t)
	return &deafConn{c, d}, err
}

func (c *deafConn) Receive() (io.Reader, error) {
	r, err := c.Conn.Receive()
	if err == nil && c.d.deaf {
		c.d.deaf = false
		c.Conn.Close(transport.GoingAway)
		return nil, io.ErrUnexpectedEOF
	}
	return r, err
}

// The connection breaks after the server took the publish and before the client
// saw the reply.
func TestAPublishThatIsSentAgainIsTakenOnceAndAnsweredAlike(t *testing.T) {
	for _, forgotten := range []bool{false, true} {
		for _, refuse := range []error{nil, &bayeux.Error{Code: 409, Message: "sold_out"}} {
			t.Run(fmt.Sprint(forgotten, refuse), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv, err := server.New(server.WithExtension(onceserver.New()))
					require.NoError(t, err)
					d := &deaf{Dialer: memory.NewDialer(srv.ServeConn)}
					taken := 0
					srv.Handle("/orders", func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
						taken++
						assert.Empty(t, m.Ext)
						d.deaf = taken == 1
						return refuse
					})
					c, err := client.New("http://test/", client.WithTransports(d), client.WithPublishRetry(3, time.Second), client.WithExtension(once.Client()))
					require.NoError(t, err)
					require.NoError(t, c.Wait(t.Context()))
					if forgotten { // the session is gone as well
						go func() {
							time.Sleep(500 * time.Millisecond)
							for s := range srv.Sessions() {
								s.Expire(time.Now(), 0)
							}
						}()
					}
					err = c.Publish(t.Context(), "/orders", 1)
					if refuse == nil {
						assert.NoError(t, err)
					} else {
						e, ok := errors.AsType[*bayeux.Error](err)
						require.True(t, ok, err)
						assert.Equal(t, "sold_out", e.Message)
					}
					assert.Equal(t, 1, taken)
					assert.Equal(t, refuse == nil, c.Publish(t.Context(), "/orders", 2) == nil)
					assert.Equal(t, 2, taken, "another publish is another key")
					c.Close()
					srv.Close()
				})
			})
		}
	}
}

func Example() {
	m := &bayeux.Message{Channel: "/orders", ID: "7"}
	once.Client().Outgoing(context.Background(), m)
	var k once.Key
	m.Ext.Decode(once.Name, &k)
	fmt.Println(k.ID, len(k.Client))
	// Output: 7 26
}

// The server would take the publishes of two clients for those of one.
func TestOneExtensionForTwoClientsPanics(t *testing.T) {
	e := once.Client()
	e.Opened(nil)
	assert.Panics(t, func() { e.Opened(nil) })
}
