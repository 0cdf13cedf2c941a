package hostile_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/server"
)

// drip sends text a byte at a time until the server closes, and says how long
// that took.
func (r *raw) drip(text string) time.Duration {
	begin := time.Now()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		io.Copy(io.Discard, r.in) // an answer, perhaps, and the end
	}()
	for i := range text {
		select {
		case <-ended:
			return time.Since(begin)
		case <-time.After(10 * time.Millisecond):
			r.say("%s", text[i:i+1])
		}
	}
	<-ended
	return time.Since(begin)
}

// Whoever sends a byte now and then is given up after the limit of what it
// sends, at each step.
func TestSlowPeersAreGivenUpAtEveryStep(t *testing.T) {
	x := attack(t, hurried(limits))
	much := strings.Repeat(" ", 2000)
	steps := map[string]func() (*raw, string){
		"in a request's header": func() (*raw, string) { // the http.Server's ReadHeaderTimeout
			return x.dial(), "POST /cometd HTTP/1.1\r\nX-Slow: " + much
		},
		"in an upgrade's header": func() (*raw, string) {
			return x.dial(), strings.TrimSuffix(x.upgrade(), "\r\n") + "X-Slow: " + much
		},
		"in a body": func() (*raw, string) {
			r := x.dial()
			r.say("POST /cometd HTTP/1.1\r\nHost: %s\r\nContent-Length: 5000\r\n\r\n[", x.addr)
			return r, much
		},
		"in a body of chunks": func() (*raw, string) {
			r := x.dial()
			r.say("POST /cometd HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n", x.addr)
			return r, strings.Repeat("1\r\n \r\n", 400)
		},
		"before the handshake":        func() (*raw, string) { return x.open().raw, "" },
		"in the handshake's frame":    func() (*raw, string) { return x.open().raw, MaskedHead(Fin|Text, 5000) + much },
		"in the handshake's frames":   func() (*raw, string) { return x.open().raw, Masked(Text, "[") + strings.Repeat(Masked(Cont, " "), 500) },
		"with pings and nothing else": func() (*raw, string) { return x.open().raw, strings.Repeat(Masked(Fin|Pong, ""), 500) },
		"after the handshake":         func() (*raw, string) { return x.shaken().raw, MaskedHead(Fin|Text, 5000) + much },
		"after the handshake, idle":   func() (*raw, string) { return x.shaken().raw, "" },
	}
	// What is answered without its body, which net/http would wait for.
	for name, head := range map[string]string{
		"a page of another origin":  "POST /cometd HTTP/1.1\r\nOrigin: http://evil.test",
		"a GET":                     "GET /cometd HTTP/1.1",
		"JSONP":                     "GET /cometd?jsonp=f&message=%5B%5D HTTP/1.1",
		"OPTIONS":                   "OPTIONS /cometd HTTP/1.1",
		"an upgrade":                strings.TrimSuffix(strings.Replace(x.upgrade(), "Host: "+x.addr+"\r\n", "", 1), "\r\n\r\n"),
		"a bad upgrade":             "GET /cometd HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade",
		"a PUT":                     "PUT /cometd HTTP/1.1",
		"a packed POST":             "POST /cometd HTTP/1.1\r\nContent-Encoding: gzip",
		"a POST of unknown charset": "POST /cometd HTTP/1.1\r\nContent-Type: text/plain;charset=ebcdic",
	} {
		steps["in the body of "+name] = func() (*raw, string) {
			r := x.dial()
			r.say("%s\r\nHost: %s\r\nContent-Length: 5000\r\n\r\n[", head, x.addr)
			return r, much
		}
		steps["in the chunks of "+name] = func() (*raw, string) {
			r := x.dial()
			r.say("%s\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n", head, x.addr)
			return r, strings.Repeat("1\r\n \r\n", 400)
		}
	}
	took := make(chan string, len(steps))
	var all []func()
	for name, open := range steps {
		r, text := open()
		all = append(all, func() {
			if d := r.drip(text); d > long {
				took <- fmt.Sprint(name, ": ", d)
				return
			}
			took <- ""
		})
	}
	for _, f := range all {
		go f()
	}
	for range all {
		assert.Empty(t, <-took)
	}
	x.over()
}

func TestManySlowHeadersDoNotKeepOthersOut(t *testing.T) {
	x := attack(t)
	x.abandons()
	for range scaled(200) {
		x.dial().say("POST /cometd HTTP/1.1\r\nHost: ")
	}
	x.ask(handshake)
	x.over()
}

// Subscribers that never read are closed for it, hold no more than their limit
// meanwhile, and cost the others nothing.
func TestSubscribersThatNeverReadAreClosedAndHeldToTheirLimit(t *testing.T) {
	x := attack(t, hurried(limits))
	const stuck = 500
	for range max(stuck, scaled(50)) {
		s := x.joined()
		require.True(t, s.asks(`[{"channel":"/meta/subscribe","id":"2","clientId":"$","subscription":"/flood"}]`, "2").Successful)
	}
	all := x.SubscriberCount("/flood")
	require.GreaterOrEqual(t, all, stuck)
	high, fullest := 0, 0
	data := strings.Repeat("x", 8<<10)
	for deadline := time.Now().Add(time.Minute); x.SubscriberCount("/flood") > 0; {
		require.True(t, time.Now().Before(deadline), "%d subscribers are still there", x.SubscriberCount("/flood"))
		require.NoError(t, x.Publish(t.Context(), "/flood", data))
		high = max(high, x.Stats().QueuedBytes)
		for s := range x.Sessions() {
			fullest = max(fullest, s.Outbox().Bytes())
		}
		// Somebody else may be at it, for whom a publisher does not wait.
		require.Eventually(t, func() bool { return x.Stats().QueuedBytes <= limits.ServerBytes }, long, time.Millisecond, "what is too much goes")
	}
	t.Logf("at most %d KiB queued, %d KiB of them for one session", high>>10, fullest>>10)
	assert.LessOrEqual(t, fullest, limits.SessionBytes)
	const places, others = 16, 64 << 10
	assert.LessOrEqual(t, high, limits.ServerBytes+len(data)+all*places+others,
		"the server's budget, and one message: once, and a place for each. Others publish, too, but little")
	l := x.Stats().Limited
	assert.NotZero(t, l["session_queue"]+l["write"], "%v", l)
	assert.Zero(t, l["server_bytes"], "what waits for all of them is the same, and counts once")
	x.over()
}

func TestAPollThatIsNeverReadIsGivenUp(t *testing.T) {
	x := attack(t, hurried(server.Limits{SessionBytes: 8 << 20, FrameBytes: 8 << 20}))
	x.grace.Store(int64(long)) // there is much to be published
	status, h, text := x.exchange(handshake)
	require.Equal(t, 200, status)
	id, cookie := replies(x, text)[0].ClientID, "Cookie: "+strings.Split(h.Get("Set-Cookie"), ";")[0]
	x.ask(fmt.Sprintf(`[{"channel":"/meta/subscribe","id":"2","clientId":%q,"subscription":"/big"},{"channel":"/meta/connect","id":"3","clientId":%q}]`, id, id), cookie)
	for range 60 {
		require.NoError(t, x.Publish(t.Context(), "/big", strings.Repeat("x", 100<<10)))
	}
	x.Session(id).SetTiming(server.Timing{MaxInterval: brief}) // once it is asked for them
	r := x.dial()
	require.NoError(t, r.Conn.(*net.TCPConn).SetReadBuffer(4<<10)) // the network holds little of it
	body := fmt.Sprintf(`[{"channel":"/meta/connect","id":"4","clientId":%q}]`, id)
	r.say("POST /cometd HTTP/1.1\r\nHost: %s\r\n%s\r\nContent-Length: %d\r\n\r\n%s", x.addr, cookie, len(body), body)
	require.Eventually(t, func() bool { return x.Session(id) == nil }, 2*long, 10*time.Millisecond, "its answer has stalled, and then its grace was over")
	assert.EqualValues(t, 1, x.Stats().Limited["write"], "it was given up for that")
	x.over()
}

// A peer that only asks is made to wait: its answers are not kept for it.
func TestAPeerThatNeverReadsItsAnswersIsStopped(t *testing.T) {
	x := attack(t, hurried(limits))
	s := x.joined()
	s.SetWriteDeadline(time.Now().Add(long))
	one := `{"channel":"/nobody","id":"` + strings.Repeat("7", 100) + `","clientId":"$"}`
	batch := "[" + strings.Repeat(one+",", 300) + one + "]"
	for s.text(batch) { // until it is closed
	}
	require.Eventually(t, func() bool { return x.Session(s.id) == nil }, long, 10*time.Millisecond)
	x.over()
}
