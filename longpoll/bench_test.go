package longpoll

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gocometd/cometd/transport"
)

// tens is a batch of ten deliveries of 128 bytes of data.
func tens() *transport.Payload {
	p := &transport.Payload{}
	for i := range 10 {
		p.Messages = append(p.Messages, fmt.Appendf(nil, `{"channel":"/quotes/ACME","data":{"n":%d,"x":"%s"}}`, i, strings.Repeat("x", 100)))
	}
	return p
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header                { return d.header }
func (d *discard) WriteHeader(int)                    {}
func (d *discard) Write(p []byte) (int, error)        { return len(p), nil }
func (d *discard) Flush()                             {}
func (d *discard) SetReadDeadline(t time.Time) error  { return nil }
func (d *discard) SetWriteDeadline(t time.Time) error { return nil }

// What the transport itself adds to one exchange, net/http left out.
func BenchmarkExchange(b *testing.B) {
	a, p := NewAcceptor(), tens()
	o := &transport.Accept{Limit: 1 << 20, Body: time.Minute, Stall: time.Minute, Headers: []string{"User-Agent", "Origin"}}
	body := []byte(`[{"channel":"/meta/connect","clientId":"x","id":"1","connectionType":"long-polling"}]`)
	r := httptest.NewRequest("POST", "/cometd/connect", nil)
	r.ContentLength = int64(len(body))
	r.Header = http.Header{"Content-Type": {"application/json"}, "Cookie": {"BAYEUX_BROWSER=abc"}, "User-Agent": {"x"}}
	serve := func(c transport.Conn) {
		in, _ := c.Receive()
		io.Copy(io.Discard, in)
		c.Send(p)
	}
	in := bytes.NewReader(body)
	r.Body = io.NopCloser(in)
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(body)
		a.Serve(&discard{make(http.Header)}, r, o, serve)
	}
}

// A whole exchange on a socket, answered by another goroutine, as when an event
// wakes a held connect.
func BenchmarkHeldOverLoopback(b *testing.B) {
	p := tens()
	o := &transport.Accept{Limit: 1 << 20, Body: time.Minute, Stall: time.Minute}
	holding := make(chan transport.Conn)
	s := httptest.NewServer(handler(NewAcceptor(), o, func(c transport.Conn) {
		in, _ := c.Receive()
		io.Copy(io.Discard, in)
		holding <- c
		c.Receive()
	}))
	defer s.Close()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	b.ReportAllocs()
	for b.Loop() {
		io.WriteString(conn, "POST /cometd/connect HTTP/1.1\r\nHost: x\r\nCookie: BAYEUX_BROWSER=abc\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n[1]")
		(<-holding).Send(p)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
	}
}
