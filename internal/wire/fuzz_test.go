//go:build !js

package wire

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gocometd/cometd/internal/fuzzing"
	"github.com/gocometd/cometd/internal/wire/wiretest"
)

// spoken is a connection whose peer has said all it will.
type spoken struct {
	net.Conn
	in io.Reader
}

func (s *spoken) Read(p []byte) (int, error)     { return s.in.Read(p) }
func (*spoken) Write(p []byte) (int, error)      { return len(p), nil }
func (*spoken) Close() error                     { return nil }
func (*spoken) SetReadDeadline(time.Time) error  { return nil }
func (*spoken) SetWriteDeadline(time.Time) error { return nil }

// said is what peers say, well and badly: a server's frames where frame is
// wiretest.Frame, a client's where it is wiretest.Masked.
func said(frame func(first byte, payload string) string) (all []string) {
	const fin, rsv1, text, cont, bin = wiretest.Fin, wiretest.RSV1, wiretest.Text, wiretest.Cont, wiretest.Bin
	hello := "\xf2\x48\xcd\xc9\xc9\x07\x00" // RFC 7692 §7.2.3.1
	bye := frame(fin|wiretest.Close, wiretest.Code(1000, "bye"))
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, longest, longest + 1} {
		all = append(all, frame(fin|text, strings.Repeat("x", n))+bye)
	}
	for _, payload := range []string{"", "\x03", wiretest.Code(1000, ""), wiretest.Code(1001, strings.Repeat("x", 123)), wiretest.Code(1002, strings.Repeat("x", 124)),
		wiretest.Code(1005, ""), wiretest.Code(1007, "\xff"), wiretest.Code(4999, "é"), wiretest.Code(5000, "")} {
		all = append(all, frame(fin|text, "1")+frame(fin|wiretest.Close, payload)+frame(fin|text, "2"))
	}
	for _, first := range []byte{fin | bin, fin | rsv1 | cont, fin | rsv1 | wiretest.Ping, fin | 0x20 | text, fin | 0x10 | text, fin | 3, fin | 0xb, wiretest.Ping, text, bin, cont} {
		all = append(all, frame(first, "x")+bye)
	}
	return append(all,
		frame(text, "a\xf0\x9f")+frame(fin|wiretest.Ping, "p")+frame(cont, "\x98")+frame(fin|wiretest.Pong, "")+frame(fin|cont, "\x80b")+bye,
		frame(text, "")+frame(cont, "")+frame(fin|cont, "")+bye,
		frame(text, "a\xe2")+frame(fin|cont, "\x82"),
		frame(fin|text, "\xed\xa0\x80"),
		frame(text, "1")+frame(fin|text, "2"),
		frame(fin|rsv1|text, hello)+frame(fin|rsv1|text, "\xf2\x00\x11\x00\x00")+frame(fin|text, "plain")+bye, // the second with the window of the first
		frame(rsv1|text, hello[:3])+frame(fin|wiretest.Ping, "?")+frame(fin|cont, hello[3:])+bye,
		frame(fin|rsv1|text, wiretest.Deflate(strings.Repeat("x", longest)))+bye,
		frame(fin|rsv1|text, wiretest.Deflate(strings.Repeat("x", longest+1)))+bye,
		frame(fin|rsv1|text, wiretest.Deflate("a\xff"))+bye,
		frame(fin|rsv1|text, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00")+frame(fin|text, "next")+bye,                 // a last block before the end
		frame(rsv1|text, "\xf3\x48\xcd\xc9\xc9\x07\x00")+frame(fin|cont, "\x0a\xcf\x2f\xca\x49\x01\x00")+bye, // and a message that goes on
		frame(fin|rsv1|text, strings.Repeat("\x03\x00", 1000))+bye,
		frame(fin|rsv1|text, "\xff\xff\xff\xff")+bye,
		frame(fin|rsv1|text, "")+bye,
		frame(fin|wiretest.Ping, strings.Repeat("x", 125))+frame(fin|wiretest.Ping, strings.Repeat("x", 126)),
		frame(fin|text, strings.Repeat("x", 200))[:100],
		frame(fin|text, strings.Repeat("x", 65536))[:9],
		frame(fin|text, "x")[:1],
		"\x81\xfe\x00\x7d", "\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x00\x00", "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
		"\x81\x7e\x00\x7d", "\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00",
	)
}

// longest is a text's limit here. A frame's length takes eight bytes from 65536
// on.
const longest = 70_000

// Whatever a peer says, either end reads texts in UTF-8 within its limit, and
// then its end.
func FuzzReader(f *testing.F) {
	for _, bytes := range said(wiretest.Masked) {
		f.Add([]byte(bytes), false)
	}
	for _, bytes := range said(wiretest.Frame) {
		f.Add([]byte(bytes), true)
	}
	f.Add([]byte(wiretest.Frame(wiretest.Fin|wiretest.Text, "without a mask")), false)
	f.Add([]byte(wiretest.Masked(wiretest.Fin|wiretest.Text, "with a mask")), true)
	f.Fuzz(func(t *testing.T, said []byte, client bool) {
		fuzzing.Watch(t)
		ends := 0
		explain := func(_ string, err error) error { return fmt.Errorf("ended: %w", err) } // io.EOF is the end of a text
		s := NewSocket(&spoken{in: strings.NewReader(string(said))}, Config{Client: client, Explain: explain})
		r := NewReader(s, nil, longest, func() { ends++ })
		r.Inflate(client)
		for range len(said) + 1 {
			m, err := r.Next()
			if err != nil {
				break
			}
			if b, err := io.ReadAll(m); err == nil && (len(b) > longest || !utf8.Valid(b)) {
				t.Fatalf("read %q", b)
			}
		}
		if _, err := r.Next(); err == nil || ends != 1 {
			t.Fatalf("there is no end: %v, %d", err, ends)
		}
		s.drains.Wait()
	})
}
