package server_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/internal/fuzzing"
	"github.com/gocometd/cometd/internal/wire/wiretest"
)

const (
	helloAll = `{"channel":"/meta/handshake","id":"1","version":"1.0","supportedConnectionTypes":["websocket"],"ext":{"ack":true,"ack.numbers":true,"replay":true,"replay.marks":true,"timesync":{"tc":1,"l":0,"o":0}}}`
	helloAck = `{"channel":"/meta/handshake","id":"1","ext":{"ack":true,"replay":true}}`
	atOnce   = `{"channel":"/meta/connect","id":"2","clientId":"s1","connectionType":"websocket","advice":{"timeout":0},"ext":{"ack":0}}`
	hold     = `{"channel":"/meta/connect","id":"3","clientId":"s1","ext":{"ack":1,"timesync":{"tc":12,"l":1,"o":-3}}}`
	subAll   = `{"channel":"/meta/subscribe","id":"4","clientId":"s1","subscription":["/**","/history/*"],"ext":{"replay":{"/history/*":-2},"replay.marks":{"/history/*":1}}}`
	pubs     = `{"channel":"/history/a","id":"5","clientId":"s1","data":{"event":{"x":1}},"ext":{"once":{"c":"me","i":"5"}}}`
	pubAgain = `{"channel":"/history/a","id":"6","clientId":"s1","data":7,"ext":{"once":{"c":"me","i":"5"}}}`
	binaries = `{"channel":"/binary/x","id":"7","clientId":"s1","data":{"data":"HelloWorld","last":true},"ext":{"binary":{}},"timestamp":"x"}`
	acks     = `{"channel":"/service/ack","id":"8","clientId":"s1","data":2}`
	mute     = `{"channel":"/meta/connect","id":"2","clientId":"s1"}` // says nothing of what it has
	goodbye  = `{"channel":"/meta/disconnect","id":"9","clientId":"s1"}`
)

// endless are channels of very many segments: no name at all, and a good one.
var endless = []string{
	`{"channel":"` + strings.Repeat("/", 30_000) + `","id":"5","clientId":"s1"}`,
	`{"channel":"` + strings.Repeat("/a", 15_000) + `","id":"6","clientId":"s1"}`,
}

// Whatever a client says on a WebSocket, and then is silent, the server ends it
// and says why, other clients get theirs, and nothing is left: through frames,
// codec, sessions and all extensions.
func FuzzSocket(f *testing.F) {
	say := func(ms ...string) string { return masked(wiretest.Fin|wiretest.Text, "["+strings.Join(ms, ",")+"]") }
	end := masked(wiretest.Fin|wiretest.Close, wiretest.Code(1000, "bye"))
	f.Add([]byte(say(helloAll) + say(atOnce) + say(subAll) + say(pubs, pubAgain, binaries) + say(acks) + say(hold)))
	f.Add([]byte(say(helloAck) + say(atOnce) + say(subAll) + say(pubs) + say(hold) + say(strings.ReplaceAll(hold, `"ack":1`, `"ack":9`))))
	f.Add([]byte(say(helloAll) + say(subAll, pubs, goodbye, pubs) + end))
	f.Add([]byte(say(helloAll) + say(strings.ReplaceAll(subAll, "-2", "-1")) + say(pubs, pubs, pubs, pubs) + say(strings.ReplaceAll(subAll, "subscribe", "unsubscribe"))))
	f.Add([]byte(say(helloAll) + say(hold) + say(helloAll) + say(strings.ReplaceAll(hold, "s1", "s2"))))
	f.Add([]byte(say(`{"channel":"/meta/handshake","supportedConnectionTypes":[],"version":"9","minimumVersion":"8"}`) + say(`{"channel":"/a","clientId":"s1","data":{"a":[1,null,"é"]}}`)))
	f.Add([]byte(masked(wiretest.Text, `[{"channel":"/meta/`) + masked(wiretest.Fin|wiretest.Ping, "p") + masked(wiretest.Fin|wiretest.Cont, `handshake"}]`) + end))
	f.Add([]byte(masked(wiretest.Fin|wiretest.RSV1|wiretest.Text, wiretest.Deflate("["+helloAll+"]")) + say(hold)))
	f.Add([]byte(say(helloAll) + say(mute) + say(subAll) + say(pubs) + say(mute)))
	f.Add([]byte(say(helloAll) + say(subAll) + say(endless...)))
	f.Add([]byte(say(helloAll)[:40]))
	f.Add([]byte(say() + masked(wiretest.Fin|wiretest.Bin, "x")))
	f.Add([]byte(masked(wiretest.Fin|wiretest.Text, "[") + end))
	request := upgrade("Sec-WebSocket-Extensions: permessage-deflate\r\n" + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n")
	f.Fuzz(func(t *testing.T, said []byte) {
		fuzzing.Watch(t)
		perform(t, func(t *testing.T, answer *bufio.Reader) {
			r, err := http.ReadResponse(answer, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusSwitchingProtocols, r.StatusCode)
			judgeFrames(t, answer)
		}, request, string(said))
	})
}

// upgrade is a request to be a WebSocket, but for some of the header.
func upgrade(lines string) string {
	return "GET /cometd HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + lines + "\r\n"
}
