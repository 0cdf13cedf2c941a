//go:build !js

package wsclient_test

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

func payload(messages ...string) *transport.Payload {
	p := &transport.Payload{}
	for _, m := range messages {
		p.Messages = append(p.Messages, []byte(m))
	}
	return p
}

const deflateAnswer = "Sec-WebSocket-Extensions: permessage-deflate\r\n"

// connected dials a server whose side of the socket is bytes.
func connected(t *testing.T, limit int, opts ...wsclient.Option) (transport.Conn, net.Conn) {
	return connectedBy(t, nil, deflateAnswer, limit, opts...)
}

// connectedBy is connected with another HTTP client, if not nil, and with what
// the server adds to its answer.
func connectedBy(t *testing.T, by *http.Client, header string, limit int, opts ...wsclient.Option) (transport.Conn, net.Conn) {
	servers, over := make(chan net.Conn, 1), make(chan struct{})
	target := answers(t, upgrades(header, func(c net.Conn) {
		c.SetDeadline(time.Now().Add(20 * time.Second))
		servers <- c
		<-over
	}))
	t.Cleanup(func() { close(over) })
	target.Limit, target.HTTP = limit, cmp.Or(by, target.HTTP)
	c, err := wsclient.NewDialer(append([]wsclient.Option{wsclient.WithCompression(1000)}, opts...)...).Dial(t.Context(), target)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(transport.Normal) })
	return c, <-servers
}

func TestFramesAreWholeAndMasked(t *testing.T) {
	c, server := connected(t, 0)
	in := bufio.NewReader(server)
	keys := map[[4]byte]bool{}
	for _, n := range []int{0, 1, 100, 123, 124, 900} {
		message := strings.Repeat("x", n)
		require.NoError(t, c.Send(payload(message)))
		f, err := Read(in)
		require.NoError(t, err)
		assert.True(t, f.Masked)
		assert.Equal(t, Seen{First: Fin | Text, Masked: true, Key: f.Key, Payload: "[" + message + "]"}, f)
		keys[f.Key] = true
	}
	assert.Greater(t, len(keys), 4, "a new key for each")
	go c.Send(payload(strings.Repeat("large", 50_000)))
	f, err := Read(in)
	require.NoError(t, err)
	assert.Equal(t, byte(Fin|RSV1|Text), f.First)
	got, err := Inflate(f.Payload)
	require.NoError(t, err)
	assert.Equal(t, "["+strings.Repeat("large", 50_000)+"]", got)
}

func TestPingsAreAnswered(t *testing.T) {
	c, server := connected(t, 0)
	go c.Receive()
	io.WriteString(server, Frame(Fin|Ping, "are you there"))
	f, err := Read(bufio.NewReader(server))
	require.NoError(t, err)
	assert.Equal(t, Seen{First: Fin | Pong, Masked: true, Key: f.Key, Payload: "are you there"}, f)
}

func TestCloseTellsTheServerWhy(t *testing.T) {
	c, server := connected(t, 0)
	require.NoError(t, c.Send(payload("last")))
	c.Close(transport.GoingAway)
	c.Close(transport.Internal)
	in := bufio.NewReader(server)
	f, err := Read(in)
	require.NoError(t, err)
	assert.Equal(t, "[last]", f.Payload)
	f, err = Read(in)
	require.NoError(t, err)
	assert.Equal(t, Code(1001, transport.GoingAway.Text()), f.Payload)
	_, err = in.ReadByte()
	assert.Equal(t, io.EOF, err)
}

// A connection that is half open is found within the two defaults, over TLS too,
// which would say goodbye first; one whose server answers stays, however quiet
// it is.
func TestASilentServerIsFound(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	for _, secure := range []bool{false, true} {
		for _, alive := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				here, there := net.Pipe()
				over, asked := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(over)
					defer there.Close()
					c := there
					if secure {
						c = tls.Server(there, certified.TLS)
					}
					in := bufio.NewReader(c)
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					io.WriteString(c, switching(r)+"\r\n")
					for {
						f, err := Read(in)
						if err != nil {
							return
						}
						if f.First == Fin|Ping && !alive {
							<-asked // and takes nothing any more
							return
						}
						if f.First == Fin|Ping {
							io.WriteString(c, Frame(Fin|Pong, f.Payload))
						}
					}
				}()
				hc, u := certified.Client(), &url.URL{Scheme: "http", Host: "example.com"}
				hc.Transport = &http.Transport{
					DialContext:     func(context.Context, string, string) (net.Conn, error) { return here, nil },
					TLSClientConfig: hc.Transport.(*http.Transport).TLSClientConfig,
				}
				if secure {
					u.Scheme = "https"
				}
				c, err := wsclient.NewDialer().Dial(t.Context(), &transport.Target{URL: u, HTTP: hc})
				require.NoError(t, err)
				start, ended := time.Now(), make(chan error, 1)
				go func() { _, err := c.Receive(); ended <- err }()
				select {
				case err := <-ended:
					assert.False(t, alive)
					assert.Equal(t, transport.Idle, transport.ReasonOf(err))
					assert.Equal(t, 35*time.Second, time.Since(start), "TLS: %v", secure)
				case <-time.After(24 * time.Hour):
					assert.True(t, alive)
				}
				close(asked)
				c.Close(transport.Normal)
				<-over
			})
		}
	}
}
