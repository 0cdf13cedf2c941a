package hostile_test

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/server"
)

// garbage is what no peer should send, and what a server may say to it.
func garbage() map[string]string {
	deep := scaled(100_000)
	all := map[string]string{
		"empty":                          "",
		"blank":                          " \n\t ",
		"no JSON":                        "hello",
		"a page":                         "<html><script>alert(1)</script>",
		"a number":                       "7",
		"null":                           "null",
		"an array of numbers":            "[1,2]",
		"an array in an array":           "[[[]]]",
		"no end":                         `[{"channel":"/a"`,
		"more after the end":             `[]x`,
		"two arrays":                     "[][]",
		"a comma too many":               `[{"channel":"/a",}]`,
		"single quotes":                  `[{'channel':'/a'}]`,
		"a comment":                      `[/* */]`,
		"no number":                      `[{"channel":"/a","data":01}]`,
		"not a number":                   `[{"channel":"/a","data":NaN}]`,
		"a raw newline in a string":      "[{\"channel\":\"/a\n\"}]",
		"a NUL":                          "[{\"channel\":\"/a\x00\"}]",
		"half an escape":                 `[{"\`,
		"a bad escape":                   `[{"channel":"\x"}]`,
		"deep arrays":                    strings.Repeat("[", deep),
		"deep objects":                   `[{"channel":"/a","ext":` + strings.Repeat(`{"x":`, deep/10) + strings.Repeat("}", deep/10) + "}]",
		"deep data":                      `[{"channel":"/a","data":` + strings.Repeat("[", deep/10) + strings.Repeat("]", deep/10) + "}]",
		"a field twice":                  `[{"channel":"/a","channel":"/meta/handshake"}]`,
		"a field twice, once escaped":    `[{"channel":"/a","chann\u0065l":"/meta/handshake"}]`,
		"clientId twice":                 `[{"channel":"/a","clientId":"x","clientId":"y"}]`,
		"a byte order mark":              "\xef\xbb\xbf[]x",
		"UTF-16":                         "[\x00]\x00x",
		"too many messages":              "[" + strings.Repeat(`{"channel":"/a"},`, 600) + `{"channel":"/a"}]`,
		"too many messages, all nothing": "[" + strings.Repeat(`{},`, 10_000) + `{}]`,
		"too large":                      `[{"channel":"/a","data":"` + strings.Repeat("x", scaled(100_000)) + `"}]`,
		"an escape bomb":                 `[{"channel":"` + strings.Repeat(`\u0000`, 20_000) + `"}]`,
	}
	for name, bad := range map[string]string{
		"a lone byte": "\xff", "an overlong slash": "\xc0\xaf", "a surrogate": "\xed\xa0\x80", "too high": "\xf4\x90\x80\x80", "cut short": "\xe2\x82",
	} {
		all["not UTF-8: "+name] = `[{"channel":"/a","data":"` + bad + `"}]`
		all["not UTF-8 in a name: "+name] = `[{"channel":"/a","` + bad + `":1}]`
	}
	return all
}

func TestGarbageIsRefusedInWordsOnEveryTransport(t *testing.T) {
	x := attack(t)
	for name, text := range garbage() {
		status, header, body := x.exchange(text)
		if assert.Contains(t, []int{400, 413}, status, "%s: %s", name, body) {
			assert.NotEmpty(t, body, name)
			harmless(t, name, header, body)
		}
		if text == "" || strings.TrimSpace(text) == "" && name == "blank" {
			continue // no frame
		}
		s := x.open()
		s.text(text)
		code, says := s.closing()
		assert.Contains(t, []int{1007, 1009}, code, "%s: %s", name, says)
		assert.NotEmpty(t, says, name)
		s.Close()
	}
	x.over()
}

// With the default limit of bytes it is the depth that is refused, not the length.
func TestNestingOfAHundredThousandEndsAtTheDepthLimit(t *testing.T) {
	x := attack(t, server.WithLimits(server.Limits{}))
	const deep = 100_000
	const outside, inside = "nesting over the limit of 64", "nesting in data over the limit of 512"
	arrays := strings.Repeat("[", deep) + strings.Repeat("]", deep)
	for name, c := range map[string]struct{ text, limit, says string }{
		"in ext":               {`[{"channel":"/a","ext":{"x":` + arrays + "}}]", "depth", outside},
		"in a field of no use": {`[{"channel":"/a","x":` + arrays + "}]", "depth", outside},
		"in data":              {`[{"channel":"/a","data":` + arrays + "}]", "data_depth", inside},
		"objects without end":  {`[{"channel":"/a","data":` + strings.Repeat(`{"":`, deep/2), "data_depth", inside},
	} {
		before := x.Stats().Limited[c.limit]
		status, header, body := x.exchange(c.text)
		assert.Equal(t, 413, status, "%s: %s", name, body)
		assert.Contains(t, body, c.says, name)
		harmless(t, name, header, body)
		s := x.open()
		s.text(c.text)
		code, says := s.closing()
		assert.Equal(t, 1009, code, name)
		assert.Contains(t, says, c.says, name)
		assert.Equal(t, before+2, x.Stats().Limited[c.limit], "%s: counted", name)
	}
	x.over()
}

func TestEveryCutOfAPayloadIsRefused(t *testing.T) {
	x := attack(t)
	whole := strings.ReplaceAll(handshake, `"id":"1"`, `"id":"1","ext":{"é\n":[1.5e3,null,true]}`)
	for n := 1; n < len(whole); n++ {
		status, _, text := x.exchange(whole[:n])
		assert.Equal(t, 400, status, "%q: %s", whole[:n], text)
	}
	x.abandons()
	s := x.open()
	s.text(whole)
	assert.True(t, s.expect()[0].Successful, "and the whole is good")
	x.over()
}

func TestHugeNumbersPassAsTheyAreOrAreRefused(t *testing.T) {
	x := attack(t)
	s := x.joined()
	r := s.asks(`[{"channel":"/meta/subscribe","id":"2","clientId":"$","subscription":"/n"}]`, "2")
	assert.True(t, r.Successful)
	for _, n := range []string{"1e400", "-1e-400", "123456789012345678901234567890.5", strings.Repeat("8", 10_000)} {
		s.text(`[{"channel":"/n","clientId":"$","data":` + n + `}]`)
		got := s.expect()[0]
		for got.Channel != "/n" || got.Data == nil {
			got = s.expect()[0]
		}
		assert.Equal(t, n, string(got.Data))
	}
	x.over()
}

func TestRandomBytesEndInAnAnswerOrAClosedConnection(t *testing.T) {
	x := attack(t)
	x.abandons()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	whole := x.upgrade() + Masked(Fin|Text, handshake)
	var waiting []*raw
	for range scaled(200) {
		b := []byte(whole)
		if rnd.IntN(4) == 0 {
			b = b[:0]
			for range rnd.IntN(2000) {
				b = append(b, byte(rnd.Uint32()))
			}
		}
		for range rnd.IntN(20) {
			if len(b) > 0 {
				b[rnd.IntN(len(b))] = byte(rnd.Uint32())
			}
		}
		r := x.dial()
		r.Write(b)
		if rnd.IntN(4) == 0 {
			r.Close()
			continue
		}
		require.NoError(t, r.Conn.(*net.TCPConn).CloseWrite()) // no more will come
		waiting = append(waiting, r)
	}
	for _, r := range waiting {
		r.SetReadDeadline(time.Now().Add(long))
		got, err := io.ReadAll(r)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "no end after %q", got)
	}
	x.over()
}
