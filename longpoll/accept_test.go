package longpoll

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/transport"
)

// echo answers with the text of the request, and closes with the reason of what
// was wrong with it.
func echo(c transport.Conn) {
	r, err := c.Receive()
	if err != nil {
		return
	}
	text, err := io.ReadAll(r)
	if err != nil {
		c.Close(transport.ReasonOf(err))
		return
	}
	text = bytes.TrimSuffix(bytes.TrimPrefix(text, []byte("[")), []byte("]"))
	c.Send(&transport.Payload{Messages: [][]byte{text}})
}

// post sends a request in memory and gives its answer.
func post(a transport.Acceptor, o *transport.Accept, contentType, body string, serve func(transport.Conn)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/cometd/any/path", strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	a.Serve(w, r, o, serve)
	return w
}

func TestARequestIsReadWhateverItsType(t *testing.T) {
	form := NewAcceptor(WithForm(true))
	for _, c := range []struct {
		a                 transport.Acceptor
		contentType, body string
		status            int
		answer            string
	}{
		{nil, "", `[1]`, 200, `[1]`},
		{nil, "application/json", `[1]`, 200, `[1]`},
		{nil, "application/json;charset=UTF-8", `["é"]`, 200, `["é"]`},
		{nil, "text/plain", `[1]`, 200, `[1]`},
		{nil, "application/x-www-form-urlencoded", `[1]`, 200, `[1]`},
		{nil, "nonsense; ;", `[1]`, 200, `[1]`},
		{nil, "text/json; charset=\"utf-8\"", `["é"]`, 200, `["é"]`},
		{nil, "text/json; charset=US-ASCII", `["e"]`, 200, `["e"]`},
		{nil, "text/json; charset=ISO-8859-1", "[\"\xe9\"]", 200, `["é"]`},
		{nil, "text/json; charset=utf-16", "\xff\xfe[\x00\"\x00\xe9\x00\"\x00]\x00", 200, `["é"]`},
		{nil, "text/json; charset=utf-16", "\xfe\xff\x00[\x00\"\x00\xe9\x00\"\x00]", 200, `["é"]`},
		{nil, "text/json; charset=utf-16be", "\x00[\x00\"\xd8\x3d\xde\x00\x00\"\x00]", 200, `["😀"]`},
		{nil, "text/json; charset=UTF-16LE", "[\x00\"\x00\xe9\x00\"\x00]\x00", 200, `["é"]`},
		{nil, "text/json; charset=koi8-r", `[1]`, 415, "longpoll: the payload is not valid: the charset is not supported here\n"},
		{nil, "", ``, 400, "longpoll: the payload is not valid: the body is empty\n"},
		{form, "application/x-www-form-urlencoded", `message=%5B1%5D`, 200, `[1]`},
		{form, "application/x-www-form-urlencoded", `message=%5B1%5D&x=y&message=2&message=%20%5B3%2C4%5D`, 200, `[1,2,3,4]`},
		{form, "application/x-www-form-urlencoded;charset=utf-8", ` [1]`, 200, `[ [1]`},
		{form, "application/x-www-form-urlencoded", `x=y`, 400, "longpoll: the payload is not valid: there is no message\n"},
		{form, "application/x-www-form-urlencoded", `message=%zz`, 400, "longpoll: the payload is not valid: the form cannot be read\n"},
		{form, "application/json", `[1]`, 200, `[1]`},
	} {
		if c.a == nil {
			c.a = NewAcceptor()
		}
		w := post(c.a, &transport.Accept{Limit: 1000}, c.contentType, c.body, echo)
		assert.Equal(t, c.status, w.Code, "%s %q", c.contentType, c.body)
		assert.Equal(t, c.answer, w.Body.String(), "%s %q", c.contentType, c.body)
	}
}

func TestAPackedRequestIsRefused(t *testing.T) {
	r := httptest.NewRequest("POST", "/", strings.NewReader("[1]"))
	r.Header.Set("Content-Encoding", "gzip")
	w := httptest.NewRecorder()
	NewAcceptor().Serve(w, r, &transport.Accept{}, echo)
	assert.Equal(t, 415, w.Code)
}

func TestTooLargeNamesTheLimit(t *testing.T) {
	a, o := NewAcceptor(WithForm(true)), &transport.Accept{Limit: 100}
	want := "longpoll: the payload is too large: limit is 100 bytes\n"
	long := "[" + strings.Repeat("1", 99) + "]"

	never := func(transport.Conn) { t.Error("there is a Conn") }
	w := post(a, o, "", long, never)
	assert.Equal(t, 413, w.Code, "declared")
	assert.Equal(t, want, w.Body.String())

	for _, contentType := range []string{"application/json", "text/json;charset=latin1", "text/json;charset=iso-8859-1", "application/x-www-form-urlencoded"} {
		r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader(long))) // its length is not known
		r.Header.Set("Content-Type", contentType)
		w = httptest.NewRecorder()
		a.Serve(w, r, o, echo)
		if contentType == "text/json;charset=latin1" {
			assert.Equal(t, 415, w.Code, contentType)
			continue
		}
		assert.Equal(t, 413, w.Code, contentType)
		assert.Equal(t, want, w.Body.String(), contentType)
	}

	w = post(a, o, "text/json;charset=iso-8859-1", strings.Repeat("\xe9", 60), echo)
	assert.Equal(t, 413, w.Code, "it is longer in UTF-8")
}

func TestAnswersCarryTheirHeaders(t *testing.T) {
	w := post(NewAcceptor(), &transport.Accept{}, "", "[1]", echo)
	want := http.Header{
		"Content-Type":           {"application/json;charset=UTF-8"},
		"Content-Length":         {"3"},
		"Cache-Control":          {"no-store"},
		"X-Content-Type-Options": {"nosniff"},
	}
	assert.Equal(t, want, w.Header())
	w = post(NewAcceptor(), &transport.Accept{}, "", "", echo)
	assert.Equal(t, "text/plain;charset=UTF-8", w.Header().Get("Content-Type"))
	assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
}

func TestTheCookieComesWithASuccessfulHandshakeOnly(t *testing.T) {
	answer := func(kind transport.Kind) func(transport.Conn) {
		return func(c transport.Conn) {
			require.Equal(t, 26, len(c.Peer().Browser), "130 bits")
			require.True(t, c.Peer().Fresh)
			c.Send(&transport.Payload{Kind: kind})
		}
	}
	w := post(NewAcceptor(), &transport.Accept{}, "", "[1]", answer(transport.Other))
	assert.Empty(t, w.Result().Cookies())

	w = post(NewAcceptor(), &transport.Accept{}, "", "[1]", answer(transport.Handshake))
	require.Len(t, w.Result().Cookies(), 1)
	assert.Regexp(t, `^BAYEUX_BROWSER=[A-Z2-7]{26}; Path=/; HttpOnly$`, w.Header().Get("Set-Cookie"))

	o := &transport.Accept{Cookie: &http.Cookie{Name: "MINE", Path: "/x", SameSite: http.SameSiteLaxMode}}
	w = post(NewAcceptor(), o, "", "[1]", answer(transport.Handshake))
	assert.Regexp(t, `^MINE=[A-Z2-7]{26}; Path=/x; HttpOnly; SameSite=Lax$`, w.Header().Get("Set-Cookie"))

	r := httptest.NewRequest("POST", "/", strings.NewReader("[1]"))
	r.AddCookie(&http.Cookie{Name: "BAYEUX_BROWSER", Value: "known"})
	rec := httptest.NewRecorder()
	NewAcceptor().Serve(rec, r, &transport.Accept{}, func(c transport.Conn) {
		assert.Equal(t, "known", c.Peer().Browser)
		assert.False(t, c.Peer().Fresh)
		c.Send(&transport.Payload{Kind: transport.Handshake})
	})
	assert.Empty(t, rec.Result().Cookies(), "it has one")
}

func TestAnUnansweredRequestGetsTheReasonsStatus(t *testing.T) {
	for r := transport.Normal; r <= transport.Internal; r++ {
		w := post(NewAcceptor(), &transport.Accept{}, "", "[1]", func(c transport.Conn) { c.Close(r) })
		assert.Equal(t, r.Status(), w.Code, r)
	}
	w := post(NewAcceptor(WithReplacedStatus(409)), &transport.Accept{}, "", "[1]", func(c transport.Conn) { c.Close(transport.Replaced) })
	assert.Equal(t, 409, w.Code)
	w = post(NewAcceptor(), &transport.Accept{}, "", "[1]", func(transport.Conn) {})
	assert.Equal(t, 500, w.Code, "serve forgot it")
}

func TestARefusalIsOneLineOfPlainText(t *testing.T) {
	w := post(NewAcceptor(), &transport.Accept{}, "", "[1]", func(c transport.Conn) {
		c.(transport.Refuser).Refuse(transport.TooLarge, "codec: more than 512 messages\r\n<script>")
	})
	assert.Equal(t, 413, w.Code)
	assert.Equal(t, "longpoll: the payload is too large: codec: more than 512 messages <script>\n", w.Body.String())
	assert.Equal(t, "text/plain;charset=UTF-8", w.Header().Get("Content-Type"))
	assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
}

func TestWrongAcceptOptionsShow(t *testing.T) {
	for _, opt := range []AcceptOption{
		WithGzip(0), WithReplacedStatus(200), WithReplacedStatus(600), WithCallback("", 64), WithCallback("message", 64), WithCallback("cb", 0),
	} {
		for _, a := range []transport.Acceptor{NewAcceptor(opt), NewCallbackAcceptor(opt)} {
			require.ErrorContains(t, a.(interface{ Err() error }).Err(), "longpoll: ")
			w := httptest.NewRecorder()
			a.Serve(w, httptest.NewRequest("POST", "/", nil), &transport.Accept{}, nil)
			assert.Equal(t, http.StatusInternalServerError, w.Code)
		}
	}
	for _, a := range []transport.Acceptor{NewAcceptor(nil), NewCallbackAcceptor(nil)} {
		assert.NoError(t, a.(interface{ Err() error }).Err(), "a nil option is none")
	}
}

func TestLongAnswersArePackedForThoseWhoCanUnpack(t *testing.T) {
	long := `["` + strings.Repeat("tick ", 5000) + `"]`
	for _, c := range []struct {
		accepts, body string
		opt           AcceptOption
		packed        bool
	}{
		{"gzip", long, nil, true},
		{"deflate, GZIP;q=0.5", long, nil, true},
		{"deflate", long, nil, false},
		{"gzip; q=0, br", long, nil, false},
		{"gzip;q=0.000", long, nil, false},
		{"", long, nil, false},
		{"*", long, nil, true},
		{"br, *;q=0.1", long, nil, true},
		{"*;q=0", long, nil, false},
		{"gzip;q=0, *", long, nil, false}, // what it says of gzip itself counts
		{"*;q=0, gzip", long, nil, true},
		{"gzip", `[1]`, nil, false},
		{"gzip", long, WithGzip(-1), false},
		{"gzip", `["` + strings.Repeat("a", 200) + `"]`, WithGzip(100), true},
		{"gzip", `[1]`, WithGzip(1), false}, // it would get longer
	} {
		a := NewAcceptor()
		if c.opt != nil {
			a = NewAcceptor(c.opt)
		}
		r := httptest.NewRequest("POST", "/", strings.NewReader(c.body))
		r.Header.Set("Accept-Encoding", c.accepts)
		w := httptest.NewRecorder()
		a.Serve(w, r, &transport.Accept{}, echo)
		got := w.Body.String()
		assert.Equal(t, c.packed, w.Header().Get("Content-Encoding") == "gzip", c.accepts)
		if c.packed || c.body == long && c.opt == nil {
			assert.Equal(t, "Accept-Encoding", w.Header().Get("Vary"), "a cache must ask which one it keeps")
		} else if c.opt == nil {
			assert.Empty(t, w.Header().Get("Vary"))
		}
		if c.packed {
			z, err := gzip.NewReader(w.Body)
			require.NoError(t, err)
			b, err := io.ReadAll(z)
			require.NoError(t, err)
			got = string(b)
		}
		assert.Equal(t, c.body, got)
	}
}

// hold answers when answer is closed.
func hold(holding chan<- transport.Conn, answer <-chan struct{}) func(transport.Conn) {
	return func(c transport.Conn) {
		if r, err := c.Receive(); err == nil {
			io.Copy(io.Discard, r)
		}
		holding <- c
		select {
		case <-answer:
			c.Send(&transport.Payload{Messages: [][]byte{[]byte("1")}})
		case <-c.Context().Done():
		}
	}
}

// The ReadTimeout and WriteTimeout that people set for other handlers are for
// bodies and answers, not for how long a connect is held.
func TestAHeldRequestOutlivesTheServersTimeouts(t *testing.T) {
	holding, answer := make(chan transport.Conn, 1), make(chan struct{})
	s := httptest.NewUnstartedServer(handler(NewAcceptor(), &transport.Accept{Stall: time.Minute}, hold(holding, answer)))
	s.Config.ReadTimeout, s.Config.WriteTimeout = 500*time.Millisecond, 500*time.Millisecond
	s.Start()
	defer s.Close()
	time.AfterFunc(time.Second, func() { close(answer) })
	resp, err := s.Client().Post(s.URL, "", strings.NewReader("[1]"))
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "[1]", string(b))
}

// raw opens a connection of its own to s.
func raw(t *testing.T, s *httptest.Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return c, bufio.NewReader(c)
}

func TestWhoSaysNoMoreIsAnsweredButForAConnect(t *testing.T) {
	for kind, status := range map[transport.Kind]int{transport.Other: 200, transport.Handshake: 200, transport.Connect: 204} {
		s := httptest.NewServer(handler(NewAcceptor(), &transport.Accept{}, func(c transport.Conn) {
			if r, err := c.Receive(); err == nil {
				io.Copy(io.Discard, r)
			}
			<-c.Context().Done()
			if err := c.Send(&transport.Payload{Kind: kind}); err != nil {
				assert.ErrorIs(t, err, transport.ErrClosed)
				c.Close(transport.ReasonOf(err))
			}
		}))
		c, in := raw(t, s)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n[1]")
		require.NoError(t, c.(*net.TCPConn).CloseWrite())
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		assert.Equal(t, status, resp.StatusCode, kind)
		resp.Body.Close()
		s.Close()
	}
}

func TestABodyThatDoesNotComeIsGivenUp(t *testing.T) {
	s := httptest.NewServer(handler(NewAcceptor(), &transport.Accept{Body: 50 * time.Millisecond}, echo))
	defer s.Close()
	c, in := raw(t, s)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n[")
	resp, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, 408, resp.StatusCode)
	assert.Equal(t, "longpoll: the peer stalled: the body took longer than 50ms\n", string(b))
	_, err = in.ReadByte()
	assert.ErrorIs(t, err, io.EOF, "the connection is closed, without waiting for the rest")
}

// A server that closes does not wait for a body.
func TestCloseFreesWhoReadsABody(t *testing.T) {
	for _, form := range []string{"application/json", "application/json;charset=utf-16"} { // which is read as a whole
		failed := make(chan error, 1)
		s := httptest.NewServer(handler(NewAcceptor(), &transport.Accept{Body: time.Minute}, func(c transport.Conn) {
			r, _ := c.Receive()
			time.AfterFunc(10*time.Millisecond, func() { c.Close(transport.GoingAway) })
			_, err := io.ReadAll(r)
			failed <- err
		}))
		defer s.Close()
		c, in := raw(t, s)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: "+form+"\r\nContent-Length: 10\r\n\r\n[")
		assert.Equal(t, transport.GoingAway, transport.ReasonOf(<-failed), form)
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		assert.Equal(t, 503, resp.StatusCode)
	}
}

func TestARefusedBodyIsNotWaitedFor(t *testing.T) {
	s := httptest.NewServer(handler(NewAcceptor(), &transport.Accept{Limit: 100, Body: 50 * time.Millisecond}, echo))
	defer s.Close()
	for want, head := range map[int]string{
		413: "Content-Length: 200\r\n\r\n",
		415: "Content-Length: 50\r\nContent-Encoding: br\r\n\r\n",
	} {
		c, in := raw(t, s)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\n"+head+"[")
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		assert.Equal(t, want, resp.StatusCode)
		io.Copy(io.Discard, resp.Body)
		_, err = in.ReadByte()
		assert.ErrorIs(t, err, io.EOF, "the connection is closed")
	}
}

func TestABodyThatBreaksOffIsNoPayload(t *testing.T) {
	failed := make(chan error, 1)
	s := httptest.NewServer(handler(NewAcceptor(), &transport.Accept{}, func(c transport.Conn) {
		r, err := c.Receive()
		if err == nil {
			_, err = io.ReadAll(r)
		}
		failed <- err
	}))
	defer s.Close()
	c, _ := raw(t, s)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n[")
	c.Close()
	assert.ErrorContains(t, <-failed, "the body ended early")
}

// A client that does not read its answer holds nothing for longer than the
// limit.
func TestAStalledAnswerIsGivenUp(t *testing.T) {
	sent := make(chan error, 1)
	s := httptest.NewServer(handler(NewAcceptor(), &transport.Accept{Stall: 100 * time.Millisecond}, func(c transport.Conn) {
		r, _ := c.Receive()
		io.Copy(io.Discard, r)
		sent <- c.Send(&transport.Payload{Messages: [][]byte{bytes.Repeat([]byte("1"), 64<<20)}})
	}))
	defer s.Close()
	c, _ := raw(t, s)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n[1]")
	select {
	case err := <-sent:
		assert.Equal(t, transport.Stalled, transport.ReasonOf(err), err)
	case <-time.After(20 * time.Second):
		assert.Fail(t, "Send still waits")
	}
}

func TestAConnectionCarriesManyExchanges(t *testing.T) {
	s := httptest.NewServer(handler(NewAcceptor(), &transport.Accept{Body: time.Minute, Stall: time.Minute}, echo))
	defer s.Close()
	c, in := raw(t, s)
	for range 3 {
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n[1]")
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "[1]", string(b))
	}
}

func TestAnswersThatWereNotFlushedStillLeave(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		NewAcceptor().Serve(struct{ http.ResponseWriter }{w}, r, &transport.Accept{Body: time.Minute, Stall: time.Minute}, echo)
	}))
	defer s.Close()
	resp, err := s.Client().Post(s.URL, "", strings.NewReader("[1]"))
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "[1]", string(b))
}

// Where the connection leads another server may have taken the place of the one
// that answers.
func TestTheLastAnswerEndsItsConnection(t *testing.T) {
	s := httptest.NewServer(handler(NewAcceptor(), &transport.Accept{}, func(c transport.Conn) {
		c.Send(&transport.Payload{Messages: [][]byte{[]byte("1")}, Last: true})
	}))
	defer s.Close()
	c, in := raw(t, s)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n[1]")
	resp, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	assert.True(t, resp.Close)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "[1]", string(b))
	_, err = in.ReadByte()
	assert.ErrorIs(t, err, io.EOF)
}
