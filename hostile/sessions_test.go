package hostile_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/server"
)

// polling shakes hands over HTTP.
func (x *target) polling() (id, cookie string) {
	x.t.Helper()
	status, h, text := x.exchange(handshake)
	require.Equal(x.t, http.StatusOK, status)
	return replies(x, text)[0].ClientID, "Cookie: " + strings.Split(h.Get("Set-Cookie"), ";")[0]
}

func TestConnectsInALoopHoldOneAndEndTheOthers(t *testing.T) {
	x := attack(t)
	s := x.shaken()
	connect := Masked(Fin|Text, fmt.Sprintf(`[{"channel":"/meta/connect","id":"7","clientId":%q}]`, s.id))
	go func() {
		for range scaled(5000) {
			if !s.say("%s", connect) {
				return
			}
		}
		s.text(`[{"channel":"/meta/unsubscribe","id":"end","clientId":"$","subscription":"/nothing"}]`)
	}()
	answered := 0
	for ended := false; !ended; {
		for _, r := range s.expect() {
			ended = ended || r.ID == "end"
			if r.ID == "7" {
				answered++
			}
		}
	}
	assert.Equal(t, 1, answered, "the first at once; the last is held, and has taken the place of the others")
	assert.LessOrEqual(t, x.Stats().Held, 3, "one each")

	id, cookie := x.polling()
	body := fmt.Sprintf(`[{"channel":"/meta/connect","id":"3","clientId":%q}]`, id)
	x.ask(fmt.Sprintf(`[{"channel":"/meta/subscribe","id":"2","clientId":%q,"subscription":"/end"},%s`, id, body[1:]), cookie)
	statuses := make(chan int)
	polls := scaled(100)
	for range polls {
		r := x.dial()
		r.say("POST /cometd HTTP/1.1\r\nHost: %s\r\n%s\r\nContent-Length: %d\r\n\r\n%s", x.addr, cookie, len(body), body)
		go func() {
			status, _, _ := r.answer()
			statuses <- status
		}()
	}
	for range polls - 1 {
		assert.Equal(t, 500, <-statuses, "replaced")
	}
	require.NoError(t, x.Publish(t.Context(), "/end", 1))
	assert.Equal(t, 200, <-statuses)
	x.over()
}

func TestIDsCannotBeGuessed(t *testing.T) {
	x := attack(t)
	x.abandons()
	seen := map[string]bool{}
	var common [32]map[byte]bool
	s := x.open()
	for range 300 {
		s.text(handshake)
		id := s.expect()[0].ClientID
		require.Regexp(t, `^[a-z2-7]{32}$`, id, "160 bits")
		require.False(t, seen[id])
		seen[id] = true
		for i := range id {
			if common[i] == nil {
				common[i] = map[byte]bool{}
			}
			common[i][id[i]] = true
		}
	}
	for i := range common {
		assert.Greater(t, len(common[i]), 16, "character %d takes few values", i)
	}
	cookies := map[string]bool{}
	for range 50 {
		_, cookie := x.polling()
		assert.False(t, cookies[cookie])
		cookies[cookie] = true
		assert.GreaterOrEqual(t, len(strings.TrimPrefix(cookie, "Cookie: BAYEUX_BROWSER=")), 26, "128 bits and more")
	}
	s.Close()

	guesses, answered := x.open(), 0
	for range scaled(40) {
		var all []string
		for range 250 {
			all = append(all, fmt.Sprintf(`{"channel":"/meta/connect","id":"1","clientId":"%s"}`, strings.ToLower(rand.Text()+"abcdef")))
		}
		if !guesses.text("[" + strings.Join(all, ",") + "]") {
			break // it had its time
		}
		n := 0
		for n < 250 {
			f, err := Read(guesses.in)
			if err != nil || f.First != Fin|Text {
				break
			}
			for _, r := range replies(x, f.Payload) {
				n++
				require.Equal(t, "402::session_unknown", r.Error)
			}
		}
		answered += n
	}
	assert.GreaterOrEqual(t, answered, 250, "guesses, before it had its time")
	x.over()
}

// Whoever learns a clientId has nothing without the cookie that goes with it,
// and does the session no harm by trying.
func TestAStolenClientIDIsNothingWithoutItsCookie(t *testing.T) {
	x := attack(t)
	attempts := []string{
		`{"channel":"/meta/connect","id":"9","clientId":%q}`, `{"channel":"/meta/disconnect","id":"9","clientId":%q}`,
		`{"channel":"/meta/subscribe","id":"9","clientId":%q,"subscription":"/thief"}`,
		`{"channel":"/meta/unsubscribe","id":"9","clientId":%q,"subscription":"/mine"}`, `{"channel":"/mine","id":"9","clientId":%q,"data":1}`,
	}
	_, other := x.polling()
	_, another := x.polling()
	cookies := map[string][]string{
		"none": nil, "another browser's": {other}, "one that was made up": {"Cookie: BAYEUX_BROWSER=x"}, "an empty one": {"Cookie: BAYEUX_BROWSER="},
		"two": {another + "; BAYEUX_BROWSER=y"},
	}
	x.grace.Store(int64(time.Minute)) // else a 402 may say no more than that a session has expired meanwhile
	ids := map[string]string{}
	id, cookie := x.polling()
	x.ask(fmt.Sprintf(`[{"channel":"/meta/subscribe","id":"2","clientId":%q,"subscription":"/mine"}]`, id), cookie)
	ids["over HTTP"] = id
	first := x.open()
	victim := x.shaken(first.cookie)
	victim.asks(`[{"channel":"/meta/subscribe","id":"2","clientId":"$","subscription":"/mine"}]`, "2")
	victim.asks(`[{"channel":"/meta/connect","id":"3","clientId":"$"}]`, "3")
	victim.text(`[{"channel":"/meta/connect","id":"4","clientId":"$"}]`) // held
	ids["over a socket, with a cookie"] = victim.id
	for whose, id := range ids {
		for with, header := range cookies {
			for _, a := range attempts {
				message := fmt.Sprintf("["+a+"]", id)
				assert.Equal(t, "402::session_unknown", x.ask(message, header...)[0].Error, "HTTP, %s, cookie %s: %s", whose, with, a)
				thief := x.open(header...)
				thief.text(message)
				assert.Equal(t, "402::session_unknown", thief.expect()[0].Error, "socket, %s, cookie %s: %s", whose, with, a)
				thief.Close()
			}
		}
		if s := x.Session(id); assert.NotNil(t, s, whose) {
			assert.Equal(t, []string{"/mine"}, s.Subscriptions(), whose)
		}
	}
	for _, a := range []string{
		`{"channel":"/meta/connect","id":"5","clientId":%q,"advice":{"timeout":0}}`, `{"channel":"/elsewhere","id":"6","clientId":%q,"data":1}`,
		`{"channel":"/meta/disconnect","id":"7","clientId":%q}`,
	} {
		assert.True(t, x.ask(fmt.Sprintf("["+a+"]", id), cookie)[0].Successful, "with its own cookie it goes on: %s", a)
	}
	again := x.open(first.cookie)
	again.id = victim.id
	assert.True(t, again.asks(`[{"channel":"/meta/connect","id":"5","clientId":"$","advice":{"timeout":0}}]`, "5").Successful, "its own browser goes on")
	assert.True(t, again.asks(`[{"channel":"/meta/disconnect","id":"6","clientId":"$"}]`, "6").Successful)
	victim.Close()
	again.Close()
	first.Close()
	x.over()
}

// A client that keeps no cookies is its clientId, for its grace and no longer,
// unless every connection must shake hands.
// A client whose network has gone must be able to go on while its old socket
// still looks alive, so whoever has its id can: the id is the whole secret.
func TestWhoHasTheIDOfAClientWithoutCookiesHasItsSessionEvenWhileItsSocketLives(t *testing.T) {
	x := attack(t)
	s := x.shaken()
	require.True(t, s.asks(`[{"channel":"/meta/subscribe","id":"1","clientId":"$","subscription":"/mail"}]`, "1").Successful)
	thief := x.open()
	thief.id = s.id
	assert.True(t, thief.asks(`[{"channel":"/meta/connect","id":"2","clientId":"$"}]`, "2").Successful)
	require.NoError(t, x.Publish(t.Context(), "/mail", 1))
	assert.Equal(t, "/mail", thief.expect()[0].Channel)
	assert.True(t, s.asks(`[{"channel":"/foo","id":"3","clientId":"$","data":1}]`, "3").Successful)
	assert.True(t, s.asks(`[{"channel":"/meta/connect","id":"4","clientId":"$","advice":{"timeout":0}}]`, "4").Successful, "and its client gets it back by its next connect")
	require.NoError(t, x.Publish(t.Context(), "/mail", 2))
	assert.Equal(t, "/mail", s.expect()[0].Channel)
	thief.Close()
	s.Close()
	back := x.open()
	back.id = s.id
	assert.True(t, back.asks(`[{"channel":"/meta/connect","id":"2","clientId":"$","advice":{"timeout":0}}]`, "2").Successful)
	back.Close()
	require.Eventually(t, func() bool { return x.Session(s.id) == nil }, long, 5*time.Millisecond)
	late := x.open()
	late.id = s.id
	assert.Equal(t, "402::session_unknown", late.asks(`[{"channel":"/meta/connect","id":"2","clientId":"$"}]`, "2").Error)
	late.Close()
	x.over()

	strict := attack(t, server.WithHandshakePerConnection())
	s = strict.shaken()
	other := strict.open()
	other.id = s.id
	assert.Equal(t, "402::session_unknown", other.asks(`[{"channel":"/meta/connect","id":"2","clientId":"$"}]`, "2").Error)
	s.Close()
	other.Close()
	strict.over()
}

func TestPagesOfOtherOriginsGetNothing(t *testing.T) {
	x := attack(t, server.WithOrigins("https://*.friend.test"))
	x.abandons()
	for _, origin := range []string{
		"https://evil.test", "null", "http://friend.test", "https://friend.test.evil.test", "https://evilfriend.test", "file://", "https://a.friend.test@evil.test",
		"https://a.friend.test.", "http://" + x.addr + ".evil.test", "http://user@evil.test", "//" + x.addr + ".evil.test", "data:text/html,x",
	} {
		header := "Origin: " + origin
		r := x.dial()
		r.say("%s", x.upgrade(header))
		status, h, text := r.answer()
		assert.Equal(t, 403, status, origin)
		harmless(t, origin, h, text)
		r.Close()
		for _, kind := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded"} {
			status, h, text = x.exchange(handshake, header, "Content-Type: "+kind)
			assert.Equal(t, 403, status, origin)
			assert.Empty(t, h.Get("Access-Control-Allow-Origin"))
			assert.Empty(t, h.Get("Set-Cookie"))
			harmless(t, origin, h, text)
		}
		r = x.dial()
		r.say("OPTIONS /cometd HTTP/1.1\r\nHost: %s\r\n%s\r\nAccess-Control-Request-Method: POST\r\nConnection: close\r\n\r\n", x.addr, header)
		status, h, _ = r.answer()
		assert.Equal(t, 403, status)
		assert.Empty(t, h.Get("Access-Control-Allow-Origin"))
		r.Close()
	}
	assert.Equal(t, 2, x.Stats().Sessions)
	for _, origin := range []string{"http://" + x.addr, "https://a.friend.test"} {
		x.open("Origin: " + origin).Close()
		x.ask(handshake, "Origin: "+origin)
	}
	x.over()
}

func TestTheCookieIsOutOfReachForScripts(t *testing.T) {
	x := attack(t)
	x.abandons()
	_, h, _ := x.exchange(handshake)
	assert.Contains(t, h.Get("Set-Cookie"), "HttpOnly")
	assert.Contains(t, h.Get("Set-Cookie"), "Path=/")
	_, h, _ = x.exchange(handshake, "Cookie: BAYEUX_BROWSER=mine")
	assert.Empty(t, h.Get("Set-Cookie"), "it has one already")
	_, h, _ = x.exchange(`[{"channel":"/meta/connect","clientId":"x"}]`)
	assert.Empty(t, h.Get("Set-Cookie"), "only for a session")
	x.over()
}

func TestWhatIsNotBayeuxIsAnsweredShortly(t *testing.T) {
	x := attack(t)
	huge := "GET /cometd HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 2<<20)
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "PUT /cometd HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "TRACE /cometd HTTP/1.1\r\nHost: x\r\n\r\n",
		"<script> /cometd HTTP/1.1\r\nHost: x\r\n\r\n", "GET /cometd?jsonp=a&jsonp=b HTTP/1.1\r\nHost: x\r\n\r\n", "POST /cometd HTTP/1.1\r\nHost: x\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /cometd HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
		"GET /cometd HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
		huge, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "hello\r\n\r\n",
	} {
		r := x.dial()
		r.say("%s", request)
		status, _, body := r.answer()
		lost := status == 0 && request == huge // by a connection that is closed while bytes come that nobody reads
		assert.True(t, lost || status >= 400 && status <= 505 && status != 500, "%.60q: %d %s", request, status, body)
		assert.Less(t, len(body), 1<<10, "%.60q: a short answer", request)
		r.Close()
	}
	many := x.dial() // pipelined
	one := fmt.Sprintf("POST /cometd HTTP/1.1\r\nHost: %s\r\nContent-Length: 2\r\n\r\n[]", x.addr)
	many.say("%s", strings.Repeat(one, 100))
	for range 100 {
		status, _, _ := many.answer()
		require.Equal(t, 400, status, "a payload without messages")
	}
	many.Close()
	x.over()
}
