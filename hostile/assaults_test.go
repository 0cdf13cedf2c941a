package hostile_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "github.com/gocometd/cometd/internal/wire/wiretest"
)

// An assault is what peers do again and again, as fast as they can.
type assault struct {
	name  string
	peers int // at once
	do    func(x *target)
}

var assaults = []assault{
	{"malformed JSON, wrong UTF-8, nesting", 4, func(x *target) {
		for _, text := range garbage() {
			x.exchange(text)
			s := x.open()
			s.text(text)
			s.closing()
			s.Close()
		}
	}},
	{"64 MiB bodies and frames", 4, func(x *target) {
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
	{"channel bombs", 4, func(x *target) {
		s, name := x.shaken(), rand.Text()
		for i := range 20 {
			s.batch(100, func(k int) string {
				return fmt.Sprintf(`{"channel":"/bomb/%s/%d/%d","id":"%d","clientId":"$","data":1}`, name, i, k, k)
			})
		}
		s.Close()
	}},
	{"subscription bombs", 4, func(x *target) {
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
	{"giant batches", 4, func(x *target) {
		s := x.shaken()
		for range 20 {
			s.batch(512, func(int) string { return `{"channel":"/nobody","id":"7","clientId":"$","data":{"a":[1,2,3]}}` })
		}
		s.batch(513, func(int) string { return `{"channel":"/nobody","id":"7","clientId":"$"}` })
		s.Close()
	}},
	{"one-byte frames", 4, func(x *target) {
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
	{"pings and empty fragments without end", 4, func(x *target) {
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
	{"slow headers, bodies, handshakes", 1, func(x *target) {
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
	{"500 subscribers that never read", 1, func(x *target) {
		for range 500 {
			s := x.shaken()
			s.text(`[{"channel":"/meta/subscribe","id":"2","clientId":"$","subscription":"/flood"}]`)
		}
		s, data := x.shaken(), strings.Repeat("x", 8<<10)
		for range 500 {
			s.batch(1, func(int) string { return `{"channel":"/flood","id":"7","clientId":"$","data":"` + data + `"}` })
		}
	}},
	{"answers that nobody reads", 50, func(x *target) {
		s := x.shaken()
		one := `{"channel":"/nobody","id":"` + strings.Repeat("7", 100) + `","clientId":"$"}`
		for text := "[" + strings.Repeat(one+",", 200) + one + "]"; s.text(text); {
		}
	}},
	{"connects in a loop on one socket", 4, func(x *target) {
		s := x.shaken()
		connect := strings.Repeat(Masked(Fin|Text, fmt.Sprintf(`[{"channel":"/meta/connect","id":"7","clientId":%q}]`, s.id)), 100)
		go s.drain()
		for range 50 {
			s.say("%s", connect)
		}
		s.Close()
	}},
	{"polls in a loop, each on a connection of its own", 4, func(x *target) {
		id, cookie := x.polling()
		body := fmt.Sprintf(`[{"channel":"/meta/connect","id":"3","clientId":%q}]`, id)
		for range 100 {
			x.dial().say("POST /cometd HTTP/1.1\r\nHost: %s\r\n%s\r\nContent-Length: %d\r\n\r\n%s", x.addr, cookie, len(body), body)
		}
	}},
	{"guesses of ids", 4, func(x *target) {
		s := x.open()
		for range 50 {
			s.batch(250, func(int) string {
				return fmt.Sprintf(`{"channel":"/meta/connect","id":"1","clientId":"%s"}`, strings.ToLower(rand.Text()+"abcdef"))
			})
		}
		s.Close()
	}},
	{"pages of other origins", 4, func(x *target) {
		for range 50 {
			r := x.dial()
			r.say("%s", x.upgrade("Origin: https://evil.test"))
			r.answer()
			r.Close()
			x.exchange(handshake, "Origin: https://evil.test")
		}
	}},
	{"handshakes without end", 4, func(x *target) {
		s := x.open()
		for range 200 {
			s.text(handshake)
			s.expect()
		}
		s.Close()
	}},
	{"connections without end", 4, func(x *target) {
		for range 500 {
			x.dial()
		}
	}},
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
func (r *raw) drain() {
	for {
		if _, err := r.in.Discard(1); err != nil {
			return
		}
	}
}

// wage goes on with an assault until ctx ends.
func (a assault) wage(ctx context.Context, t testing.TB, addr string) {
	var peers sync.WaitGroup
	for range a.peers {
		peers.Go(func() {
			for ctx.Err() == nil {
				a.once(ctx, t, addr)
			}
		})
	}
	peers.Wait()
}

func (a assault) once(ctx context.Context, t testing.TB, addr string) {
	x := &target{t: undaunted{t, ctx}, addr: addr, from: stranger}
	ended := make(chan struct{})
	go func() { defer close(ended); defer x.hangUp(); a.do(x) }()
	<-ended
}

// An undaunted attacker whom the server has refused or cut off begins again.
type undaunted struct {
	testing.TB
	ctx context.Context
}

func (u undaunted) Context() context.Context { return u.ctx }
func (undaunted) Errorf(string, ...any)      {}
func (undaunted) Fatalf(string, ...any)      { runtime.Goexit() }
func (undaunted) FailNow()                   { runtime.Goexit() }

// stranger is where attackers come from, so that limits per address tell them
// from others. Linux has all of 127/8.
var stranger = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}

// The attackers of [TestHealthyClientsWhileAServerElsewhereIsAttacked], in a
// process of their own.
func TestAttackElsewhere(t *testing.T) {
	addr := os.Getenv("HOSTILE_TARGET")
	if addr == "" {
		t.Skip("HOSTILE_TARGET is not set")
	}
	var all sync.WaitGroup
	for _, a := range assaults {
		if name := os.Getenv("HOSTILE_ASSAULT"); name == a.name || name == everything {
			all.Go(func() { a.wage(t.Context(), t, addr) })
		}
	}
	all.Wait()
	require.Fail(t, "no such assault") // else they end with the process
}
