package server_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/internal/fuzzing"
	"github.com/gocometd/cometd/internal/wire/wiretest"
)

// posted is a request with a body.
func posted(header string, ms ...string) string {
	body := "[" + strings.Join(ms, ",") + "]"
	return fmt.Sprintf("POST /cometd/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n%s\r\n%s", len(body), header, body)
}

// Whatever a client says on a connection to the HTTP server, the server answers
// what net/http lets through, never with an error of its own, and ends the
// connection; other clients get theirs, and nothing is left.
func FuzzHTTP(f *testing.F) {
	const browser = "Cookie: BAYEUX_BROWSER=b1\r\nContent-Type: application/json;charset=UTF-8\r\n"
	f.Add([]byte(posted("", helloAck) + posted(browser, atOnce) + posted(browser, subAll) + posted(browser, pubs, pubAgain) + posted(browser, hold)))
	f.Add([]byte(posted("Accept-Encoding: gzip\r\n", helloAll) + posted(browser, subAll, pubs, binaries, acks, hold)))
	f.Add([]byte(posted(browser, helloAll) + posted(browser, goodbye, pubs)))
	f.Add([]byte(posted(browser, helloAll) + posted(browser, subAll) + posted(browser, endless...)))
	f.Add([]byte(posted("Content-Type: text/json;charset=utf-16\r\n", helloAll)))
	f.Add([]byte(posted("Content-Encoding: gzip\r\n", helloAll)))
	f.Add([]byte(posted("Origin: https://a.good.example\r\n", helloAll) + posted("Origin: https://evil.example\r\n", helloAll)))
	f.Add([]byte("POST /cometd HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n1e\r\n[{\"channel\":\"/meta/handshake\"}\r\n1\r\n]\r\n0\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.0\r\nContent-Length: 31\r\n\r\n[{\"channel\":\"/meta/handshake\"}]"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n[{\"channel\""))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 12\r\n\r\nmessage=%5B1"))
	f.Add([]byte("GET /cometd?jsonp=cb&message=" + url.QueryEscape("["+helloAll+"]") + " HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	f.Add([]byte("GET /cometd?jsonp=cb(&message=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	f.Add([]byte("OPTIONS /cometd HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.good.example\r\nAccess-Control-Request-Method: POST\r\n\r\nPUT / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	f.Add([]byte(upgrade("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n") + masked(wiretest.Fin|wiretest.Text, "["+helloAll+"]") + masked(wiretest.Fin|wiretest.Text, "["+hold+"]")))
	f.Add([]byte(upgrade("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nContent-Length: 1\r\n") + "x"))
	f.Fuzz(func(t *testing.T, said []byte) {
		fuzzing.Watch(t)
		method, _, _ := strings.Cut(strings.TrimLeft(string(said), "\r\n"), " ")
		perform(t, func(t *testing.T, answer *bufio.Reader) { judgeAnswer(t, method, answer) }, string(said))
	})
}

// judgeAnswer looks at the first answer to a request. Which of a stranger's bytes
// the next one would answer is not known.
func judgeAnswer(t *testing.T, method string, in *bufio.Reader) {
	r, err := http.ReadResponse(in, &http.Request{Method: method})
	for err == nil && r.StatusCode == http.StatusContinue {
		r, err = http.ReadResponse(in, &http.Request{Method: method})
	}
	if err != nil {
		require.Zero(t, in.Buffered(), "no answer of HTTP")
		return // net/http ends some without an answer
	}
	if r.StatusCode == http.StatusSwitchingProtocols {
		judgeFrames(t, in)
		return
	}
	require.NotEqual(t, http.StatusInternalServerError, r.StatusCode)
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		require.NoError(t, err)
		body, err = io.ReadAll(z)
		require.NoError(t, err)
	}
	if method == http.MethodHead || r.StatusCode != http.StatusOK {
		return
	}
	switch kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind {
	case "application/json":
		judgeMessages(t, body)
	case "text/javascript":
		call := regexp.MustCompile(`(?s)^[\w.-]{1,64}\((.*)\)$`).FindSubmatch(body)
		require.NotNil(t, call, "%q", body)
		judgeMessages(t, call[1])
	}
}

// Whatever the header of an upgrade says, a good one is taken, and the 101 says
// what RFC 6455 asks, grants what was offered only, and lets in no page of an
// unknown origin.
func FuzzUpgrade(f *testing.F) {
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	f.Add(key, "13", "", "", "", "")
	f.Add(key, "13", "permessage-deflate; client_max_window_bits", "bayeux", "http://localhost", "BAYEUX_BROWSER=b7")
	f.Add(key, "13", "permessage-deflate; server_max_window_bits=10, permessage-deflate", "x, bayeux", "https://a.good.example", "a=b; BAYEUX_BROWSER=\"x\"")
	f.Add(key, "13", "permessage-deflate; x=\"a;b\", ;;=,", ",", "https://good.example", "BAYEUX_BROWSER="+strings.Repeat("x", 300))
	f.Add(key, "8", "", "", "null", ";;=")
	f.Add(key, "13", "", "", "https://a.good.example.evil", "")
	f.Add(key, "13", "", "", "http://user@localhost", "")
	f.Add("short", "13", "", "", "", "")
	f.Add("dGhlIHNhbXBsZSBub25jZQ", "13\r\nSec-WebSocket-Version: 8", "", "", "http://user@localhost", "\x00")
	f.Fuzz(func(t *testing.T, key, version, extensions, protocol, origin, cookie string) {
		fuzzing.Watch(t)
		if len(key)+len(version)+len(extensions)+len(protocol)+len(origin)+len(cookie) > 64<<10 {
			return
		}
		lines := ""
		for _, h := range [][2]string{{"Key", key}, {"Version", version}, {"Extensions", extensions}, {"Protocol", protocol}} {
			lines += line("Sec-WebSocket-"+h[0], h[1])
		}
		lines += line("Origin", origin) + line("Cookie", cookie)
		perform(t, func(t *testing.T, answer *bufio.Reader) {
			r, err := http.ReadResponse(answer, nil)
			if regexp.MustCompile(`[\x00-\x1f\x7f]`).MatchString(key + version + extensions + protocol + origin + cookie) {
				return // other headers than meant, or none that net/http takes
			}
			require.NoError(t, err)
			if r.StatusCode == http.StatusSwitchingProtocols {
				judgeUpgrade(t, r, extensions, protocol, origin, key)
				texts := judgeFrames(t, answer)
				require.NotEmpty(t, texts)
				assert.Contains(t, texts[0], `"successful":true`)
				return
			}
			secret, bad := base64.StdEncoding.DecodeString(strings.Trim(key, " "))
			assert.False(t, bad == nil && len(secret) == 16 && strings.Trim(version, " ") == "13" && origin == "", "a good request: %s", r.Status)
			assert.Contains(t, []int{http.StatusBadRequest, http.StatusForbidden, http.StatusUpgradeRequired}, r.StatusCode)
		}, upgrade(lines), masked(wiretest.Fin|wiretest.Text, "["+helloAll+"]"))
	})
}

// line is one of a header, none for an empty value.
func line(name, value string) string {
	if value == "" {
		return ""
	}
	return name + ": " + value + "\r\n"
}

func judgeUpgrade(t *testing.T, r *http.Response, extensions, protocol, origin, key string) {
	sum := sha1.Sum([]byte(strings.Trim(key, " ") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	assert.Equal(t, base64.StdEncoding.EncodeToString(sum[:]), r.Header.Get("Sec-WebSocket-Accept"))
	switch chosen := r.Header.Get("Sec-WebSocket-Protocol"); chosen {
	case "":
	case "bayeux":
		assert.Contains(t, protocol, chosen)
	default:
		t.Errorf("the subprotocol %q", chosen)
	}
	if granted := r.Header.Get("Sec-WebSocket-Extensions"); granted != "" {
		assert.Contains(t, strings.ToLower(extensions), "permessage-deflate")
		assert.Regexp(t, `^permessage-deflate(; \w+)*$`, granted)
	}
	if origin != "" {
		assert.Regexp(t, `(?i)^ *(https?://localhost|https://[^/@]+\.good\.example) *$`, origin)
	}
	for name := range r.Header {
		assert.Contains(t, []string{"Upgrade", "Connection", "Sec-Websocket-Accept", "Sec-Websocket-Protocol", "Sec-Websocket-Extensions", "Set-Cookie", "Vary",
			"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"}, name)
	}
}
