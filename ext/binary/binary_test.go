package binary_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/binary"
	"github.com/gocometd/cometd/ext/binary/binaryserver"
	"github.com/gocometd/cometd/internal/fuzzing"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport/memory"
)

// The example of ZeroMQ's RFC 32, which defines Z85.
func TestZ85IsThatOfItsDefinition(t *testing.T) {
	hello := []byte{0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B}
	assert.Equal(t, "HelloWorld", string(binary.AppendEncode(nil, hello)))
	got, err := binary.AppendDecode(nil, []byte("HelloWorld"))
	require.NoError(t, err)
	assert.Equal(t, hello, got)
}

func TestEveryLengthSurvives(t *testing.T) {
	for n := range 67 {
		for _, fill := range []byte{0, 1, 0x7f, 0xff} {
			in := bytes.Repeat([]byte{fill}, n)
			text := binary.AppendEncode([]byte("x"), in)
			assert.Len(t, text, 1+binary.EncodedLen(n))
			out, err := binary.AppendDecode([]byte("y"), text[1:])
			require.NoError(t, err)
			assert.Equal(t, append([]byte("y"), in...), out)
		}
	}
}

// A caller may have something behind the slice that is appended to.
func TestNothingIsWrittenBehindWhatIsAppended(t *testing.T) {
	for n := range 67 {
		in := bytes.Repeat([]byte{0xff}, n)
		buf := bytes.Repeat([]byte{'_'}, 200)
		text := binary.AppendEncode(buf[:1], in)
		assert.Equal(t, strings.Repeat("_", 200-len(text)), string(buf[len(text):]), "%d bytes encoded", n)

		buf = bytes.Repeat([]byte{'_'}, 200)
		out, err := binary.AppendDecode(buf[:1], text[1:])
		require.NoError(t, err)
		assert.Equal(t, strings.Repeat("_", 200-len(out)), string(buf[len(out):]), "%d bytes decoded", n)
	}
}

func TestWhatIsNotZ85IsRefused(t *testing.T) {
	for _, text := range []string{"0", "000000", "0000\x00", "000~0", "#####", "%nSc1", "00000,1", "00 ", "~~"} {
		out, err := binary.AppendDecode([]byte("kept"), []byte(text))
		assert.Error(t, err, text)
		assert.Equal(t, "kept", string(out))
	}
}

func FuzzZ85(f *testing.F) {
	f.Add([]byte("HelloWorld"))
	f.Add([]byte("#####"))
	f.Add([]byte("0"))
	f.Fuzz(func(t *testing.T, in []byte) {
		fuzzing.Watch(t)
		out, err := binary.AppendDecode(nil, binary.AppendEncode(nil, in))
		if err != nil || !bytes.Equal(in, out) {
			t.Fatalf("%x came back as %x, %v", in, out, err)
		}
		if out, err := binary.AppendDecode(nil, in); err == nil && len(in)%5 == 0 && !bytes.Equal(in, binary.AppendEncode(nil, out)) {
			t.Fatalf("%q was read as %x", in, out)
		}
		var d binary.Data
		_ = d.UnmarshalJSON(in)
	})
}

func TestBytesGoThroughAServerWithoutTheExtension(t *testing.T) {
	srv, err := server.New()
	require.NoError(t, err)
	defer srv.Close()
	roundTrip(t, srv, func(c *client.Client, d binary.Data) error { return binary.Publish(t.Context(), c, "/files/a", d) })
}

func TestAServerSendsBytesOfItsOwn(t *testing.T) {
	srv, err := server.New(server.WithExtension(binaryserver.New("/files/*")))
	require.NoError(t, err)
	defer srv.Close()
	roundTrip(t, srv, func(_ *client.Client, d binary.Data) error {
		return binaryserver.Publish(t.Context(), srv, "/files/a", d)
	})
}

func roundTrip(t *testing.T, srv *server.Server, publish func(*client.Client, binary.Data) error) {
	c, err := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)), client.WithExtension(mustBeMarked(t), binary.Client()))
	require.NoError(t, err)
	defer c.Close()
	sub, err := c.Subscribe(t.Context(), "/files/*")
	require.NoError(t, err)
	in := binary.Data{Bytes: []byte{0, 1, 2, 255, 254}, Last: true, Meta: json.RawMessage(`{"name":"a"}`)}
	require.NoError(t, publish(c, in))
	for m := range sub.Messages(t.Context()) {
		out, err := binary.Decode(m)
		require.NoError(t, err)
		assert.Equal(t, in, out)
		assert.Empty(t, m.Ext)
		break
	}
}

// mustBeMarked looks at events before the extension does.
func mustBeMarked(t *testing.T) client.Extension {
	return client.Extension{Channels: []string{"/files/*"}, Incoming: func(_ context.Context, m *bayeux.Message) error {
		if m.Data != nil {
			assert.Equal(t, "{}", string(m.Ext["binary"]))
		}
		return nil
	}}
}

func Example() {
	text, _ := json.Marshal(binary.Data{Bytes: []byte("any bytes\x00\xff"), Last: true})
	fmt.Println(string(text))
	d, _ := binary.Decode(&bayeux.Message{Data: text})
	fmt.Printf("%q\n", d.Bytes)
	// Output:
	// {"data":"vqZukvTi6bA@=j","last":true}
	// "any bytes\x00\xff"
}

// Both must reach 1 GB/s of bytes, without an allocation.
func BenchmarkZ85(b *testing.B) {
	in := make([]byte, 64<<10)
	for i := range in {
		in[i] = byte(rand.N(256))
	}
	text := binary.AppendEncode(nil, in)
	b.Run("encode", func(b *testing.B) {
		out := make([]byte, 0, len(text)+8)
		b.SetBytes(int64(len(in)))
		b.ReportAllocs()
		for b.Loop() {
			out = binary.AppendEncode(out[:0], in)
		}
	})
	b.Run("decode", func(b *testing.B) {
		out := make([]byte, 0, len(in)+8)
		b.SetBytes(int64(len(in)))
		b.ReportAllocs()
		for b.Loop() {
			out, _ = binary.AppendDecode(out[:0], text)
		}
	})
}

func TestWhatIsNoBinaryMessageIsAnError(t *testing.T) {
	for _, text := range []string{`5`, `{}`, `{"data":null}`, `{"data":5}`, `{"data":["a"]}`, `{"data":"~"}`, `{"data":"\\u00zz"}`} {
		_, err := binary.Decode(&bayeux.Message{Data: []byte(text)})
		assert.Error(t, err, text)
	}
	_, err := binary.Decode(&bayeux.Message{})
	assert.ErrorIs(t, err, bayeux.ErrNoData)
}

// Z85 needs no escapes in JSON, but a peer may write some.
func TestEscapesInTheTextAreRead(t *testing.T) {
	plain, err := json.Marshal(binary.Data{Bytes: []byte("some"), Last: false, Meta: json.RawMessage(`{"a":1}`)})
	require.NoError(t, err)
	var d binary.Data
	require.NoError(t, json.Unmarshal(plain, &d))
	assert.Equal(t, binary.Data{Bytes: []byte("some"), Meta: json.RawMessage(`{"a":1}`)}, d)
	begin := strings.Index(string(plain), `"data":"`) + len(`"data":"`)
	escaped := fmt.Sprintf(`%s\u%04x%s`, plain[:begin], plain[begin], plain[begin+1:])
	d = binary.Data{}
	require.NoError(t, json.Unmarshal([]byte(escaped), &d), escaped)
	assert.Equal(t, "some", string(d.Bytes))
}
