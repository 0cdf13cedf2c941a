package hostile_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/gocometd/cometd/bayeux"
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

func TestEveryCutOfAPayloadIsRefused(t *testing.T) {
	x := attack(t)
	whole := strings.ReplaceAll(handshake, `"id":"1"`, `"id":"1","ext":{"é\n":[1.5e3,null,true]}`)
	for n := 1; n < len(whole); n++ {
		status, _, text := x.exchange(whole[:n])
		assert.Equal(t, 400, status, "%q: %s", whole[:n], text)
	}
	s := x.open()
	s.text(whole)
	assert.True(t, s.expect()[0].Successful, "and the whole is good")
	s.Close()
	x.over()
}

// Whatever stands in a field, there is an answer in Bayeux or a refusal: never
// a failure of the server, nor silence.
func TestAnyValueInAnyFieldIsAnswered(t *testing.T) {
	x := attack(t, server.WithTransportTiming(bayeux.LongPolling, server.Timing{Timeout: 10 * time.Millisecond}))
	values := []string{
		`5`, `-0`, `1e400`, `-1e400`, `1e-400`, strings.Repeat("9", 5000), `true`, `false`, `null`, `""`, `"x"`, `" "`, `"/"`, `"//"`, `"/**"`, `"/a/*/b"`,
		`"` + strings.Repeat("/x", 5000) + `"`, `"\u0000"`, `"\ud800"`, `"/a\r\nb"`, `"\u2028</script>"`, `[]`, `[[]]`, `[null]`, `["/a",5]`, `{}`, `{"x":{}}`,
		`{"timeout":1e400,"interval":-1e400,"reconnect":7}`, `{"timeout":-1,"interval":99999999999999999999}`, `{"timeout":"x","interval":[]}`,
	}
	fields := []string{
		"channel", "id", "clientId", "data", "version", "minimumVersion", "supportedConnectionTypes", "connectionType", "subscription", "advice", "ext",
		"successful", "error", "timestamp", "authSuccessful", "x-messages", "unknown",
	}
	channels := []string{"/meta/handshake", "/meta/connect", "/meta/subscribe", "/meta/unsubscribe", "/meta/disconnect", "/meta/other", "/a", "/service/a", "/*"}
	for _, field := range fields {
		for _, value := range values {
			ch := channels[len(field+value)%len(channels)]
			message := map[string]json.RawMessage{}
			s := x.shaken()
			for name, v := range map[string]string{"channel": ch, "id": "z", "clientId": s.id, "subscription": "/a"} {
				message[name], _ = json.Marshal(v)
			}
			text := overlay(message, field, value)
			// A handshake after it shows that the socket still answers.
			s.text("[" + text + "]")
			s.text(handshake)
			answered(t, s, text)
			s.Close()
			status, header, body := x.exchange("["+text+"]", s.cookie)
			assert.Contains(t, []int{200, 400, 413}, status, "%.200s: %s", text, body)
			harmless(t, text, header, body)
		}
	}
	x.over()
}

// overlay writes a message with one field as it is given, JSON or not.
func overlay(m map[string]json.RawMessage, field, value string) string {
	delete(m, field)
	var parts []string
	for name, v := range m {
		parts = append(parts, fmt.Sprintf("%q:%s", name, v))
	}
	return "{" + strings.Join(append(parts, fmt.Sprintf("%q:%s", field, value)), ",") + "}"
}

// answered reads until the reply to a handshake, or the end of the socket with
// a code that blames its peer.
func answered(t *testing.T, s *socket, text string) {
	t.Helper()
	for {
		f, err := Read(s.in)
		switch {
		case err != nil:
			t.Errorf("%.200s: no answer: %v", text, err)
			return
		case f.First == Fin|Close:
			assert.Contains(t, []int{1007, 1009}, f.Code(), "%.200s: %s", text, f.Payload)
			return
		}
		for _, r := range replies(s.x, f.Payload) {
			if r.Channel == "/meta/handshake" && r.ID == "1" {
				return
			}
		}
	}
}

func TestHugeNumbersPassAsTheyAreOrAreRefused(t *testing.T) {
	x := attack(t)
	s := x.shaken()
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
	s.Close()
	x.over()
}

func TestRandomBytesEndInAnAnswerOrAClosedConnection(t *testing.T) {
	x := attack(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	whole := x.upgrade() + Masked(Fin|Text, handshake)
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
		if rnd.IntN(2) == 0 {
			r.Close()
		}
	}
	x.over()
}
