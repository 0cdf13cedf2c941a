package hostile_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/server"
)

func TestAMessageInOneByteFramesIsAMessage(t *testing.T) {
	x := attack(t)
	x.abandons()
	s := x.open()
	frames := Masked(Text, handshake[:1])
	for i := 1; i < len(handshake); i++ {
		frames += Masked(Cont, handshake[i:i+1]) + Masked(Fin|Ping, "")
	}
	frames += Masked(Fin|Cont, "")
	for i := range frames { // and each byte in a packet of its own
		s.say("%s", frames[i:i+1])
	}
	assert.True(t, s.expect()[0].Successful)
	s.Close()
	x.over()
}

// Against RFC 6455, each ends the socket: with the code that says so, or cut.
func TestIllegalFramesEndTheirSocketAlone(t *testing.T) {
	x := attack(t)
	for name, c := range map[string]struct {
		bytes string
		codes []int
	}{
		"not masked":                   {Frame(Fin|Text, "[]"), []int{1002}},
		"binary":                       {Masked(Fin|Bin, "[]"), []int{1003, 1007}},
		"a reserved opcode":            {Masked(Fin|3, ""), []int{1002}},
		"a reserved control opcode":    {Masked(Fin|11, ""), []int{1002}},
		"a reserved bit":               {Masked(Fin|0x20|Text, "[]"), []int{1002}},
		"compressed, never agreed":     {Masked(Fin|RSV1|Text, Deflate("[]")), []int{1002}},
		"a continuation of nothing":    {Masked(Fin|Cont, "[]"), []int{1002}},
		"a message within a message":   {Masked(Text, "[") + Masked(Fin|Text, "]"), []int{1002}},
		"a ping in parts":              {Masked(Ping, "x"), []int{1002}},
		"a ping of 126 bytes":          {Masked(Fin|Ping, strings.Repeat("x", 126)), []int{1002}},
		"a close of 126 bytes":         {Masked(Fin|Close, strings.Repeat("x", 126)), []int{1002}},
		"a close of one byte":          {Masked(Fin|Close, "x"), []int{1002}},
		"a close that says 1005":       {Masked(Fin|Close, Code(1005, "")), []int{1002}},
		"a close that says 0":          {Masked(Fin|Close, Code(0, "")), []int{1002}},
		"a close with bad text":        {Masked(Fin|Close, Code(1000, "\xff")), []int{1007}},
		"2^63 bytes":                   {"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff1234", []int{1002, 1009}},
		"2^62 bytes":                   {"\x81\xff\x3f\xff\xff\xff\xff\xff\xff\xff1234" + strings.Repeat("\x13", 200<<10), []int{1009}},
		"over the limit":               {Masked(Fin|Text, strings.Repeat(" ", 65<<10)), []int{1009}},
		"over the limit in parts":      {Masked(Text, strings.Repeat(" ", 40<<10)) + Masked(Cont, strings.Repeat(" ", 40<<10)), []int{1009}},
		"bad UTF-8 in the second part": {Masked(Text, `[{"channel":"/`) + Masked(Fin|Cont, "\xff\"}]"), []int{1007}},
		"data after a close":           {Masked(Fin|Close, Code(1000, "")) + Masked(Fin|Text, handshake), []int{1000}},
		"many closes":                  {strings.Repeat(Masked(Fin|Close, Code(1000, "")), 100), []int{1000}},
		"an HTTP request":              {"GET /cometd HTTP/1.1\r\nHost: x\r\n\r\n", []int{1002}},
	} {
		s := x.open()
		s.say("%s", c.bytes)
		code, says := s.closing()
		assert.Contains(t, append(c.codes, 1006), code, "%s: %s", name, says)
		if code == 1006 {
			t.Logf("%s: cut without a close frame: %s", name, says)
		}
		s.Close()
	}
	assert.Equal(t, 2, x.Stats().Sessions, "none of them got a session")
	x.over()
}

// The pongs of a peer that does not read would be 4 MiB: none but the newest
// waits for it.
func TestAFloodOfControlFramesIsAnsweredInBoundedMemory(t *testing.T) {
	patient := limits
	patient.Write = time.Minute
	x := attack(t, server.WithLimits(patient))
	s := x.joined()
	before := live()
	flood := strings.Repeat(Masked(Fin|Ping, strings.Repeat("p", 125))+Masked(Fin|Pong, "who asked?"), 100)
	for range scaled(300) {
		require.True(t, s.say("%s", flood), "the flood is let in")
	}
	s.say("%s", Masked(Fin|Ping, "last"))
	s.text(`[{"channel":"/meta/subscribe","id":"1","clientId":"$","subscription":"/flooded"}]`)
	require.Eventually(t, func() bool { return x.SubscriberCount("/flooded") == 1 }, long, time.Millisecond, "all of it has arrived")
	var grown int
	assert.Eventually(t, func() bool {
		grown = live() - before
		return grown < 1<<20
	}, long, 10*time.Millisecond, "bytes")
	t.Logf("%d KiB more heap", grown>>10)
	for {
		f, err := Read(s.in)
		require.NoError(t, err)
		if f.First == Fin|Pong && f.Payload == "last" {
			break
		}
	}
	assert.True(t, s.asks(`[{"channel":"/nobody","id":"2","clientId":"$","data":1}]`, "2").Successful, "and the socket goes on")
	x.over()
}

func TestEmptyFragmentsWithoutEndDoNotHoldASocket(t *testing.T) {
	x := attack(t, hurried(limits))
	s := x.open()
	s.say("%s", Masked(Text, ""))
	sent := 0
	for s.say("%s", strings.Repeat(Masked(Cont, ""), 50)) {
		sent++
	}
	t.Logf("%d frames, then the server had enough", sent*50)
	assert.NotZero(t, x.Stats().Limited["handshake"])
	io.Copy(io.Discard, s)
	x.over()
}
