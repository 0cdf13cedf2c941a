package replayserver_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// The exchange of docs/protocol.md §17, as its clients send it: long-polling,
// the positions of all channels on each subscribe, the id as a string.
func TestTheExchangeOfSalesforceClientsByteForByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := serve(t, replayserver.NewMemory(replayserver.Rule{Pattern: "/event/*"}))
		for _, text := range []string{"a", "b", "c"} {
			require.NoError(t, srv.Publish(t.Context(), "/event/Order__e", map[string]any{"schema": "s", "payload": text}))
		}
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		target := &transport.Target{URL: &url.URL{Scheme: "http", Host: "t"}, HTTP: &http.Client{Jar: jar}}
		d := memory.NewPollDialer(srv.ServeConn)
		post := func(message string) string {
			conn, err := d.Dial(context.Background(), target)
			require.NoError(t, err)
			require.NoError(t, conn.Send(&transport.Payload{Messages: [][]byte{[]byte(message)}}))
			r, err := conn.Receive()
			require.NoError(t, err)
			text, err := io.ReadAll(r)
			require.NoError(t, err)
			conn.Close(transport.Normal)
			synctest.Wait()
			return string(text)
		}
		hs := post(`{"ext":{"replay":true},"supportedConnectionTypes":["long-polling"],"channel":"/meta/handshake","id":"1","version":"1.0"}`)
		assert.Contains(t, hs, `"ext":{"replay":true}`)
		id := regexp.MustCompile(`"clientId":"(\w+)"`).FindStringSubmatch(hs)[1]
		say := func(text string) string { return post(strings.ReplaceAll(text, "$", id)) }
		say(`{"id":"2","channel":"/meta/connect","connectionType":"long-polling","clientId":"$","advice":{"timeout":0}}`)

		assert.Equal(t, `[{"channel":"/meta/subscribe","id":"3","successful":true,"subscription":"/event/Order__e"}]`,
			say(`{"ext":{"replay":{"/event/Order__e":-2,"/event/Other__e":-1}},"clientId":"$","channel":"/meta/subscribe","subscription":"/event/Order__e","id":"3"}`))
		got := say(`{"id":"4","channel":"/meta/connect","connectionType":"long-polling","clientId":"$"}`)
		ids := regexp.MustCompile(`\{"channel":"/event/Order__e","data":\{"event":\{"replayId":(\d+)\},"payload":"[abc]","schema":"s"\}\}`).FindAllStringSubmatch(got, -1)
		require.Len(t, ids, 3, got)

		say(`{"channel":"/meta/unsubscribe","clientId":"$","subscription":"/event/Order__e","id":"5"}`)
		say(`{"ext":{"replay":{"/event/Order__e":"` + ids[1][1] + `"}},"clientId":"$","channel":"/meta/subscribe","subscription":"/event/Order__e","id":"6"}`)
		got = say(`{"id":"7","channel":"/meta/connect","connectionType":"long-polling","clientId":"$"}`)
		assert.Equal(t, `[{"channel":"/event/Order__e","data":{"event":{"replayId":`+ids[2][1]+`},"payload":"c","schema":"s"}},{"channel":"/meta/connect","id":"7","successful":true}]`, got)

		refused := say(`{"ext":{"replay":{"/event/Order__e":5}},"clientId":"$","channel":"/meta/subscribe","subscription":"/event/Order__e","id":"8"}`)
		assert.Contains(t, refused, `"successful":false`)
		assert.Contains(t, refused, `"error":"400::The replayId {5}`)
		srv.Close()
	})
}
