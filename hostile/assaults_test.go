package hostile_test

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	. "github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/server"
)

// An assault is what peers do again and again, as fast as they can. Those that do
// not wait for answers come back while the server still reads what they sent.
type assault struct {
	name     string
	peers    int                                 // at once
	holds    load                                // what they make the server hold, at most
	achieved func(d deeds, of server.Stats) bool // else they have not even begun
	do       func(x *target)
}

func sent(d deeds, _ server.Stats) bool      { return d.Sent > 1<<20 }
func refused(d deeds, _ server.Stats) bool   { return d.Refused > 0 }
func connected(d deeds, _ server.Stats) bool { return d.Connections > 10 }

// heeded: more was answered than the handshakes.
func heeded(d deeds, _ server.Stats) bool { return d.Answered > d.Connections }

// pressing: the server had to end some who do not take what is for them. The moment
// of a smoke test may be too short for that.
func pressing(d deeds, of server.Stats) bool {
	return smoke() && connected(d, of) || of.Limited["session_queue"]+of.Limited["server_bytes"]+of.Limited["write"] > 0
}

var assaults = []assault{
	{"malformed JSON, wrong UTF-8, nesting", 4, load{conns: 4, requests: 4, payloads: 4}, refused, func(x *target) {
		for _, text := range garbage() {
			x.exchange(text)
			s := x.open()
			s.text(text)
			s.closing()
			s.Close()
		}
	}},
	{"64 MiB bodies and frames", 4, load{conns: 4, requests: 4, payloads: 4}, sent, func(x *target) {
		const size = 64 << 20
		post := "POST /cometd HTTP/1.1\r\nHost: " + x.addr + "\r\n"
		r := x.dial()
		r.say("%sContent-Length: %d\r\n\r\n", post, size)
		r.stream(size, plain)
		r.Close()
		r = x.dial()
		r.say("%sTransfer-Encoding: chunked\r\n\r\n", post)
		r.stream(size, chunk)
		r.Close()
		s := x.open()
		s.say("%s", MaskedHead(Fin|Text, size))
		s.stream(size, masked)
		s.Close()
	}},
	{"channel bombs", 4, load{conns: 4, payloads: 4, sessions: stated.SessionsPerAddr, channels: stated.Channels}, heeded, func(x *target) {
		s, name := x.shaken(), rand.Text()
		for i := range 20 {
			s.batch(100, func(k int) string {
				return fmt.Sprintf(`{"channel":"/bomb/%s/%d/%d","id":"%d","clientId":"$","data":1}`, name, i, k, k)
			})
			for _, long := range []string{strings.Repeat("/", 60_000), strings.Repeat("/a", 30_000)} {
				s.batch(1, func(int) string { return fmt.Sprintf(`{"channel":%q,"id":"z","clientId":"$"}`, long) })
			}
		}
		s.Close()
	}},
	{"subscription bombs", 4, load{conns: 4, payloads: 4, sessions: stated.SessionsPerAddr, subscriptions: stated.SessionsPerAddr * stated.Subscriptions, channels: stated.Channels}, heeded, func(x *target) {
		s, name := x.shaken(), rand.Text()
		for i := range 20 {
			s.batch(1, func(int) string {
				var all []string
				for k := range 100 {
					all = append(all, fmt.Sprintf(`"/bomb/%s/%d/%d"`, name, i, k))
				}
				return `{"channel":"/meta/subscribe","id":"z","clientId":"$","subscription":[` + strings.Join(all, ",") + `]}`
			})
		}
		s.Close()
	}},
	{"giant batches", 4, load{conns: 4, payloads: 4, sessions: stated.SessionsPerAddr}, heeded, func(x *target) {
		s := x.shaken()
		for range 20 {
			s.batch(512, func(int) string { return `{"channel":"/nobody","id":"7","clientId":"$","data":{"a":[1,2,3]}}` })
		}
		s.batch(513, func(int) string { return `{"channel":"/nobody","id":"7","clientId":"$"}` })
		s.Close()
	}},
	{"payloads as large as they may be", 20, load{conns: 20, requests: 20, payloads: 20, sessions: stated.SessionsPerAddr}, heeded, func(x *target) {
		data := "[" + strings.Repeat("1,", stated.MessageBytes/2-100) + "1]"
		s := x.shaken()
		for range 50 {
			s.batch(1, func(int) string { return `{"channel":"/nobody","id":"7","clientId":"$","data":` + data + `}` })
		}
		s.Close()
		r := x.dial()
		body := x.post(`[{"channel":"/nobody","id":"7","clientId":"nobody","data":` + data + `}]`)
		for range 50 { // is refused when all of it has been read
			r.say("%s", body)
			r.answer()
		}
		r.Close()
	}},
	{"one-byte frames", 4, load{conns: connsPerAddr, reading: connsPerAddr, payloads: 4, sessions: stated.SessionsPerAddr}, sent, func(x *target) {
		s := x.shaken()
		message := `[{"channel":"/nobody","id":"7","clientId":"` + s.id + `"}]`
		frames := Masked(Text, message[:1])
		for i := 1; i < len(message); i++ {
			frames += Masked(Cont, message[i:i+1]) + Masked(Fin|Ping, "")
		}
		frames = strings.Repeat(frames+Masked(Fin|Cont, ""), 100)
		go s.drain()
		s.say("%s", frames)
		s.Close()
	}},
	{"pings and empty fragments without end", 4, load{conns: 4, payloads: 4, sessions: stated.SessionsPerAddr}, sent, func(x *target) {
		s := x.shaken()
		s.SetDeadline(time.Now().Add(2 * time.Second))
		pings := strings.Repeat(Masked(Fin|Ping, strings.Repeat("p", 125))+Masked(Fin|Pong, "who asked?"), 100)
		for s.say("%s", pings) { // and reads none of the pongs
		}
		s.Close()
		s = x.open()
		s.SetDeadline(time.Now().Add(2 * time.Second))
		s.say("%s", Masked(Text, ""))
		for empty := strings.Repeat(Masked(Cont, ""), 100); s.say("%s", empty); {
		}
		s.Close()
	}},
	{"slow headers, bodies, handshakes", 1, load{conns: 250, requests: 500}, connected, func(x *target) {
		var all []*raw
		for range 250 {
			header, body, frame := x.dial(), x.dial(), x.open().raw
			header.say("POST /cometd HTTP/1.1\r\nX-Slow: ")
			body.say("POST /cometd HTTP/1.1\r\nHost: %s\r\nContent-Length: 5000\r\n\r\n[", x.addr)
			frame.say("%s", MaskedHead(Fin|Text, 5000))
			all = append(all, header, body, frame)
		}
		for range 200 {
			for _, r := range all {
				r.say(" ")
			}
			time.Sleep(50 * time.Millisecond)
		}
	}},
	{"500 subscribers that never read", 1, load{conns: 501, payloads: 1, sessions: stated.SessionsPerAddr, queued: stated.ServerBytes}, pressing, func(x *target) {
		for range 500 {
			s := x.shaken()
			s.text(`[{"channel":"/meta/subscribe","id":"2","clientId":"$","subscription":"/flood"}]`)
		}
		s, data := x.shaken(), strings.Repeat("x", 8<<10)
		for range 500 {
			s.batch(1, func(int) string { return `{"channel":"/flood","id":"7","clientId":"$","data":"` + data + `"}` })
		}
	}},
	{"answers that nobody reads", 50, load{conns: 50, payloads: 50, sessions: stated.SessionsPerAddr, queued: 50 * (64<<10 + stated.MessageBytes)}, sent, func(x *target) {
		s := x.shaken()
		one := `{"channel":"/nobody","id":"` + strings.Repeat("7", 100) + `","clientId":"$"}`
		for text := "[" + strings.Repeat(one+",", 200) + one + "]"; s.text(text); {
		}
	}},
	{"connects in a loop on one socket", 4, load{conns: connsPerAddr, reading: connsPerAddr, payloads: 4, sessions: stated.SessionsPerAddr, queued: 4 * (64<<10 + stated.MessageBytes)}, sent, func(x *target) {
		s := x.shaken()
		connect := strings.Repeat(Masked(Fin|Text, fmt.Sprintf(`[{"channel":"/meta/connect","id":"7","clientId":%q}]`, s.id)), 100)
		go s.drain()
		for range 50 {
			s.say("%s", connect)
		}
		s.Close()
	}},
	{"polls in a loop, each on a connection of its own", 4, load{requests: connsPerAddr, sessions: stated.SessionsPerAddr}, connected, func(x *target) {
		id, cookie := x.polling()
		body := fmt.Sprintf(`[{"channel":"/meta/connect","id":"3","clientId":%q}]`, id)
		for range 100 {
			x.dial().say("%s", x.post(body, cookie))
		}
	}},
	{"requests without end on kept connections", 50, load{requests: 50, sessions: stated.SessionsPerAddr}, heeded, func(x *target) {
		id, cookie := x.polling()
		r := x.dial()
		for {
			for _, body := range errands(id) {
				r.say("%s", x.post(body, cookie))
				if status, _, _ := r.answer(); status == 0 {
					return
				}
			}
		}
	}},
	{"pipelined requests whose answers are not read", 4, load{requests: 4, sessions: stated.SessionsPerAddr}, sent, func(x *target) {
		id, cookie := x.polling()
		r, many := x.dial(), ""
		for _, body := range errands(id) {
			many += x.post(body, cookie)
		}
		many = strings.Repeat(many, 30)
		r.SetDeadline(time.Now().Add(2 * time.Second))
		for r.say("%s", many) {
		}
	}},
	{"streams of HTTP/2 without end", 1, load{requests: streams, sessions: stated.SessionsPerAddr}, heeded, func(x *target) {
		id, cookie := x.polling()
		web := x.overHTTP2()
		defer web.CloseIdleConnections()
		if !x.posts(web, "[]", cookie) { // the others share its connection
			return
		}
		var all sync.WaitGroup
		for range streams {
			all.Go(func() {
				for going := true; going; {
					for _, body := range errands(id) {
						going = going && x.posts(web, body, cookie)
					}
				}
			})
		}
		all.Wait()
	}},
	{"guesses of ids", 4, load{conns: 4, payloads: 4}, refused, func(x *target) {
		s := x.open()
		for range 50 {
			s.batch(250, func(int) string {
				return fmt.Sprintf(`{"channel":"/meta/connect","id":"1","clientId":"%s"}`, strings.ToLower(rand.Text()+"abcdef"))
			})
		}
		s.Close()
	}},
	{"pages of other origins", 4, load{conns: 4, requests: 4}, refused, func(x *target) {
		for range 50 {
			r := x.dial()
			r.say("%s", x.upgrade("Origin: https://evil.test"))
			r.answer()
			r.Close()
			x.exchange(handshake, "Origin: https://evil.test")
		}
	}},
	{"handshakes without end", 4, load{conns: 4, sessions: stated.SessionsPerAddr}, heeded, func(x *target) {
		s := x.open()
		for range 200 {
			s.text(handshake)
			s.expect()
		}
		s.Close()
	}},
	{"connections without end", 4, load{conns: connsPerAddr}, connected, func(x *target) {
		var last *raw
		for range 500 {
			last = x.dial()
		}
		last.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		last.answer() // a refusal, or the end, if they were too many
	}},
}

// streams are those that net/http has on a connection at once.
const streams = 250

// errands are payloads that are answered at once: what has no messages, a publish,
// and a connect.
func errands(id string) []string {
	return []string{
		`[]`,
		fmt.Sprintf(`[{"channel":"/nobody","id":"7","clientId":%q,"data":1}]`, id),
		fmt.Sprintf(`[{"channel":"/meta/connect","id":"8","clientId":%q,"connectionType":"long-polling","advice":{"timeout":0}}]`, id),
	}
}

// overHTTP2 has one connection for as many requests as may be streams of it.
func (x *target) overHTTP2() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: x.connect, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
}

// posts sends a body with a cookie over TLS, reads the answer, and reports whether
// there was one.
func (x *target) posts(web *http.Client, body, cookie string) bool {
	req, err := http.NewRequestWithContext(x.t.Context(), http.MethodPost, "https://"+x.secure+"/cometd", strings.NewReader(body))
	if err != nil {
		return false
	}
	_, value, _ := strings.Cut(cookie, ": ")
	req.Header.Set("Cookie", value)
	resp, err := web.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return false
	}
	x.tally.heard(1, resp.StatusCode >= 400)
	return true
}

// batch sends n messages in one payload and reads until as many have been
// answered, or the connection has ended.
func (s *socket) batch(n int, message func(i int) string) {
	all := make([]string, n)
	for i := range all {
		all[i] = message(i)
	}
	s.text("[" + strings.Join(all, ",") + "]")
	for answered := 0; answered < n; {
		answered += len(s.expect())
	}
}

// drain reads until the end.
func (s *socket) drain() {
	for {
		f, err := Read(s.in)
		if err != nil {
			return
		}
		if f.First == Fin|Text {
			s.x.tally.heard(1, false)
		}
	}
}

// wage goes on with an assault for ever.
func (a assault) wage(addr, secure string, did *tally) {
	for range a.peers {
		go func() {
			for {
				a.once(addr, secure, did)
			}
		}()
	}
}

func (a assault) once(addr, secure string, did *tally) {
	x := &target{t: undaunted{of: did}, addr: addr, secure: secure, from: stranger, tally: did}
	ended := make(chan struct{})
	go func() { defer close(ended); defer x.hangUp(); a.do(x) }()
	<-ended
}

// stranger is where attackers come from, so that limits per address tell them
// from others. Linux has all of 127/8.
var stranger = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}

// besiege is the attackers, in a process of their own. They print a line when
// they begin, and their deeds when their input ends; then they end with the
// process.
func besiege(addr, secure, name string) {
	all, begun := map[string]*tally{}, time.Now()
	for _, a := range assaults {
		if name == a.name || name == everything {
			all[a.name] = &tally{}
			a.wage(addr, secure, all[a.name])
		}
	}
	fmt.Println("begun")
	io.Copy(io.Discard, os.Stdin)
	did := map[string]deeds{}
	for name, t := range all {
		d := t.sum()
		d.Took = time.Since(begun)
		did[name] = d
	}
	json.NewEncoder(os.Stdout).Encode(did)
}
