//go:build !js

package wire

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/internal/wire/wiretest"
)

// However frames are cut on their way, on a connection that tells when there is
// something as on one that does not, the texts are the same, and nothing is held
// when all has been read.
func TestTextsAreTheSameHoweverTheirBytesCome(t *testing.T) {
	var bytes string
	var want []string
	for _, n := range []int{0, 1, 3, 125, 126, 4095, 4096, 5000, 16<<10 - 6, 16 << 10, 65535, 65536, 200_001} {
		text := strings.Repeat("0123456789", n/10+1)[:n]
		want = append(want, text, text)
		bytes += wiretest.Masked(wiretest.Fin|wiretest.Text, text)
		bytes += wiretest.Masked(wiretest.Text, text[:n/3]) + wiretest.Masked(wiretest.Fin|wiretest.Pong, "x") + wiretest.Masked(wiretest.Fin|wiretest.Cont, text[n/3:])
	}
	for name, open := range map[string]func(*testing.T, Config) (*Socket, net.Conn){"TCP": overTCP, "another": inMemory} {
		for _, piece := range []int{7, 1000, 100_000} {
			for _, room := range []int{10, 3000, 70_000} {
				s, peer := open(t, Config{})
				r := NewReader(s, []byte(bytes[:5]), 1<<20, func() {})
				go func() {
					for rest := bytes[5:]; rest != ""; rest = rest[min(len(rest), piece):] {
						io.WriteString(peer, rest[:min(len(rest), piece)])
					}
				}()
				for i, text := range want {
					m, err := r.Next()
					require.NoError(t, err)
					require.Equal(t, text, all(t, m, room), "%s, text %d, pieces of %d, read into %d", name, i, piece, room)
				}
				assert.Empty(t, r.ahead.b)
				assert.Nil(t, r.ahead.lent)
			}
		}
	}
}

func all(t *testing.T, r io.Reader, room int) string {
	t.Helper()
	var b strings.Builder
	p := make([]byte, room)
	for {
		n, err := r.Read(p)
		b.Write(p[:n])
		if err == io.EOF {
			return b.String()
		}
		require.NoError(t, err)
	}
}

func TestWhatIsLeftOfATextIsSkipped(t *testing.T) {
	s, peer := overTCP(t, Config{})
	r := NewReader(s, nil, 0, func() {})
	r.Inflate(false)
	go func() {
		io.WriteString(peer, wiretest.Masked(wiretest.Text, "first")+wiretest.Masked(wiretest.Fin|wiretest.Cont, " and more"))
		io.WriteString(peer, wiretest.Masked(wiretest.Fin|wiretest.RSV1|wiretest.Text, wiretest.Deflate("second")))
		io.WriteString(peer, wiretest.Masked(wiretest.Fin|wiretest.Text, "third"))
	}()
	m, err := r.Next()
	require.NoError(t, err)
	p := make([]byte, 3)
	n, err := m.Read(p)
	require.NoError(t, err)
	assert.Equal(t, "fir", string(p[:n]))
	_, err = r.Next()
	require.NoError(t, err)
	m, err = r.Next()
	require.NoError(t, err)
	assert.Equal(t, "third", all(t, m, 100))
	n, err = m.Read(p)
	assert.Zero(t, n)
	assert.Equal(t, io.EOF, err, "again and again")
}

// A peer that keeps its window refers to what it has sent before.
func TestWithTakeoverAMessageRefersToTheOnesBefore(t *testing.T) {
	s, peer := overTCP(t, Config{})
	r := NewReader(s, nil, 0, func() {})
	r.Inflate(true)
	long := strings.Repeat("0123456789", 10_000)
	// RFC 7692 §7.2.3.2: "Hello" twice, the second with the window of the first.
	go func() {
		io.WriteString(peer, wiretest.Masked(wiretest.Fin|wiretest.RSV1|wiretest.Text, wiretest.Deflate(long)))
		io.WriteString(peer, wiretest.Masked(wiretest.Fin|wiretest.RSV1|wiretest.Text, "\xf2\x48\xcd\xc9\xc9\x07\x00"))
		io.WriteString(peer, wiretest.Masked(wiretest.Fin|wiretest.RSV1|wiretest.Text, "\xf2\x00\x11\x00\x00"))
	}()
	for _, want := range []string{long, "Hello", "Hello"} {
		m, err := r.Next()
		require.NoError(t, err)
		require.Equal(t, want, all(t, m, 5000))
	}
}

// RFC 7692 §7.2.3.4: a last block need not be the end of the message.
func TestAMessageMayGoOnAfterALastBlock(t *testing.T) {
	const (
		fin, rsv1, text, cont = wiretest.Fin, wiretest.RSV1, wiretest.Text, wiretest.Cont

		hello = "\xf3\x48\xcd\xc9\xc9\x07\x00" // a last block
		world = "\x0a\xcf\x2f\xca\x49\x01\x00" // one that is not the last
		again = "\xf2\x00\x11\x00\x00"         // its H, and four bytes of five bytes before
		next  = "next"
	)
	for name, c := range map[string]struct {
		bytes    string
		takeover bool
		want     string
	}{
		"an empty block":                   {wiretest.Masked(fin|rsv1|text, hello+"\x00"), false, "Hello"},
		"nothing":                          {wiretest.Masked(fin|rsv1|text, hello), false, "Hello"},
		"more":                             {wiretest.Masked(fin|rsv1|text, hello+world), false, "HelloWorld"},
		"more, with takeover":              {wiretest.Masked(fin|rsv1|text, hello+world), true, "HelloWorld"},
		"more, in the next frame":          {wiretest.Masked(rsv1|text, hello) + wiretest.Masked(fin|cont, world), false, "HelloWorld"},
		"an empty frame":                   {wiretest.Masked(rsv1|text, hello) + wiretest.Masked(fin|cont, ""), false, "Hello"},
		"last blocks":                      {wiretest.Masked(fin|rsv1|text, hello+hello+"\x03\x00\x03\x00"+hello+world), false, "HelloHelloHelloWorld"},
		"what refers to it, with takeover": {wiretest.Masked(fin|rsv1|text, hello+again), true, "HelloHello"},
	} {
		s, peer := overTCP(t, Config{})
		r := NewReader(s, nil, 1000, func() {})
		r.Inflate(c.takeover)
		go io.WriteString(peer, c.bytes+wiretest.Masked(fin|text, next))
		for _, want := range []string{c.want, next} {
			m, err := r.Next()
			require.NoError(t, err, name)
			require.Equal(t, want, all(t, m, 100), name)
		}
	}
}

// Who breaks off after a last block has not said all.
func TestAMessageIsNotWholeAfterALastBlockWithoutItsLastFrame(t *testing.T) {
	s, peer := overTCP(t, Config{})
	s.cfg.Explain = func(_ string, err error) error { return fmt.Errorf("ended: %w", err) } // io.EOF is the end of a text
	r := NewReader(s, nil, 0, func() {})
	r.Inflate(false)
	io.WriteString(peer, wiretest.Masked(wiretest.RSV1|wiretest.Text, "\xf3\x48\xcd\xc9\xc9\x07\x00"))
	require.NoError(t, peer.Close())
	m, err := r.Next()
	require.NoError(t, err)
	_, err = io.ReadAll(m)
	require.Error(t, err)
	_, again := r.Next()
	assert.Equal(t, err, again)
}

func TestEmptyBlocksWithoutEndAreTooLarge(t *testing.T) {
	for _, block := range []string{"\x00\x00\x00\xff\xff", "\x03\x00"} { // the second is a last one each time
		s, peer := overTCP(t, Config{})
		r := NewReader(s, nil, 1000, func() {})
		r.Inflate(true)
		go func() {
			io.WriteString(peer, wiretest.Masked(wiretest.RSV1|wiretest.Text, block))
			for range 200 {
				io.WriteString(peer, wiretest.Masked(wiretest.Cont, strings.Repeat(block, 10)))
			}
		}()
		m, err := r.Next()
		require.NoError(t, err)
		_, err = io.ReadAll(m)
		var end *CloseError
		require.ErrorAs(t, err, &end)
		assert.Equal(t, 1009, end.Code)
		assert.Equal(t, 1000, end.Limit)
	}
}

// What a peer that keeps its window may refer to is all there, and little more.
func TestAWindowHoldsLittleMoreThanItsSize(t *testing.T) {
	var w window
	var said []byte
	for i := range 300 {
		p := []byte(strings.Repeat(string(rune('a'+i%26)), i*i%5000+1))
		if i == 150 {
			p = []byte(strings.Repeat("long", windowSize))
		}
		w.add(p)
		said = append(said, p...)
		require.Equal(t, string(said[max(0, len(said)-windowSize):]), string(w.last()))
		require.LessOrEqual(t, cap(w.b), windowSize+2*slack)
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() { w.add(said[:3000]) }))
}

func TestAFrameOverTheLimitIsRefusedByItsHeader(t *testing.T) {
	s, peer := overTCP(t, Config{})
	r := NewReader(s, nil, 1000, func() {})
	io.WriteString(peer, wiretest.MaskedHead(wiretest.Fin|wiretest.Text, 1001))
	m, err := r.Next()
	require.NoError(t, err)
	_, err = m.Read(make([]byte, 10))
	assert.ErrorContains(t, err, "1000 bytes")
	_, err = r.Next()
	assert.ErrorContains(t, err, "1000 bytes")
}

func TestOffersOfCompression(t *testing.T) {
	const windowed = Deflate + "; server_max_window_bits=15"
	for offer, want := range map[string]string{
		"permessage-deflate":                         Deflate,
		"permessage-deflate; client_max_window_bits": Deflate,
		"x, Permessage-Deflate; client_max_window_bits=10 ; server_no_context_takeover": Deflate,
		`permessage-deflate; server_max_window_bits="15"`:                               windowed,
		"permessage-deflate; server_max_window_bits=10":                                 "",
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":             Deflate,
		"permessage-deflate; server_max_window_bits=15, permessage-deflate":             windowed,
		"permessage-deflate; client_max_window_bits=16":                                 "",
		"permessage-deflate; client_max_window_bits=+9":                                 "",
		"permessage-deflate; client_max_window_bits=015":                                "",
		`permessage-deflate; client_max_window_bits="9`:                                 "",
		"permessage-deflate; client_no_context_takeover=":                               "",
		"permessage-deflate; server_no_context_takeover=1":                              "",
		"permessage-deflate; client_max_window_bits; client_max_window_bits":            "",
		"permessage-deflate; unknown":                                                   "",
		"x-webkit-deflate-frame":                                                        "",
		"":                                                                              "",
		", ;":                                                                           "",
	} {
		assert.Equal(t, want, AnswerDeflate([]string{offer}), offer)
	}
}

func TestAnswersAboutCompression(t *testing.T) {
	for _, c := range []struct {
		answer          string
		taken, takeover bool
		bad             bool
	}{
		{answer: ""},
		{answer: Deflate, taken: true},
		{answer: "permessage-deflate", taken: true, takeover: true},
		{answer: "permessage-deflate; server_no_context_takeover; server_max_window_bits=12", taken: true},
		{answer: "permessage-deflate; client_max_window_bits=15", bad: true}, // not offered
		{answer: "permessage-deflate, permessage-deflate", bad: true},
		{answer: "x", bad: true},
	} {
		taken, takeover, err := DeflateTaken(true, []string{c.answer})
		assert.Equal(t, c.bad, err != nil, c.answer)
		assert.Equal(t, c.taken, taken, c.answer)
		assert.Equal(t, c.takeover, takeover, c.answer)
	}
	_, _, err := DeflateTaken(false, []string{Deflate})
	assert.Error(t, err, "nothing was offered")
}
