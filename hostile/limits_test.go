package hostile_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/server"
)

func TestABodyOverTheLimitIsRefusedHoweverItIsAnnounced(t *testing.T) {
	x := attack(t)
	big := `[{"channel":"/a","data":"` + strings.Repeat("x", scaled(1<<20)) + `"}]`
	post := func(head, body string) (int, string) {
		r := x.dial()
		defer r.Close()
		r.say("POST /cometd HTTP/1.1\r\nHost: %s\r\n%s\r\n", x.addr, head)
		go r.say("%s", body) // the answer does not wait for the end
		status, _, text := r.answer()
		return status, text
	}
	chunked := func(n int) string {
		var b strings.Builder
		for i := 0; i < len(big); i += n {
			part := big[i:min(len(big), i+n)]
			fmt.Fprintf(&b, "%x\r\n%s\r\n", len(part), part)
		}
		return b.String() + "0\r\n\r\n"
	}
	for _, c := range []struct {
		name, head, body string
		status           []int
	}{
		{"as it is", fmt.Sprintf("Content-Length: %d\r\n", len(big)), big, []int{413}},
		{"announced only", "Content-Length: 9000000000000\r\n", "", []int{413}},
		{"in chunks", "Transfer-Encoding: chunked\r\n", chunked(1000), []int{413}},
		{"in tiny chunks", "Transfer-Encoding: chunked\r\n", chunked(1), []int{413}},
		{"in one chunk that never ends", "Transfer-Encoding: chunked\r\n", "7fffffffffffffff\r\n" + big, []int{413}},
		{"packed", "Content-Encoding: gzip\r\nContent-Length: 20\r\n", strings.Repeat("\x1f", 20), []int{415}},
		{"longer than announced", "Content-Length: 10\r\n", big, []int{400}},
		{"announced twice", "Content-Length: 2\r\nContent-Length: 3\r\n", "[]x", []int{400}},
		{"announced both ways", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", []int{400}},
		{"less than nothing", "Content-Length: -1\r\n", "[]", []int{400}},
		{"a chunk of bad length", "Transfer-Encoding: chunked\r\n", "zz\r\n[]\r\n0\r\n\r\n", []int{400}},
		{"a chunk with a huge extension", "Transfer-Encoding: chunked\r\n", "1;" + strings.Repeat("x", 100_000) + "\r\n[\r\n", []int{400}},
	} {
		status, text := post(c.head, c.body)
		assert.Contains(t, c.status, status, "%s: %s", c.name, text)
		if status == 413 {
			assert.Contains(t, text, "65536", "%s: the limit is named", c.name)
		}
	}
	assert.GreaterOrEqual(t, x.Stats().Limited["message_bytes"], uint64(5))
	x.over()
}

func TestAChannelBombEndsAtTheLimitAndLeavesNoChannels(t *testing.T) {
	x := attack(t, unhurried)
	s := x.joined()
	before := x.Stats().Channels
	refused := 0
	for i := range 20 {
		var all []string
		for k := range 50 {
			all = append(all, fmt.Sprintf(`{"channel":"/bomb/%d/%d","id":"%d","clientId":"$","data":1}`, i, k, k))
		}
		s.text("[" + strings.Join(all, ",") + "]")
		for n := 0; n < 50; {
			for _, r := range s.expect() {
				if n++; strings.HasPrefix(r.Error, "429:channels_created,100:") {
					refused++
				}
			}
		}
	}
	assert.GreaterOrEqual(t, refused, 800, "on a slow machine the first ones have gone, and left room for some")
	assert.LessOrEqual(t, x.Stats().Channels, before+100)
	for _, ch := range []string{"/" + strings.Repeat("x", 1000), strings.Repeat("/x", 100), "/a/*", "/**", "/meta/x", "/a//b", "/é", "a"} {
		r := s.asks(fmt.Sprintf(`[{"channel":%q,"id":"z","clientId":"$","data":1}]`, ch), "z")
		assert.False(t, r.Successful, ch)
	}
	x.over()
}

// creates publishes on so many new channels of a run, and returns how many the
// server has refused with an error that begins so.
func (s *socket) creates(channels, run int, refusal string) (refused int) {
	var all []string
	for k := range channels {
		all = append(all, fmt.Sprintf(`{"channel":"/bomb/%d/%d","id":"%d","clientId":"$","data":1}`, run, k, k))
	}
	s.text("[" + strings.Join(all, ",") + "]")
	for n := 0; n < channels; {
		for _, r := range s.expect() {
			if n++; strings.HasPrefix(r.Error, refusal) {
				refused++
			}
		}
	}
	return refused
}

// unhurried leaves unused channels for three seconds, also where a busy machine
// takes half a second for what creates them.
var unhurried = server.WithTiming(server.Timing{Timeout: time.Minute, Sweep: time.Second})

// Sessions that come only to create channels, and go again, fill no more than
// the server's own limit.
func TestChannelsAreBoundedInTheWholeServer(t *testing.T) {
	x := attack(t, server.WithLimits(server.Limits{Channels: 300}), unhurried)
	refused := 0
	for i := range scaled(10) {
		s := x.shaken()
		refused += s.creates(100, i, "429:channels,300:")
		s.Close()
		assert.LessOrEqual(t, x.Stats().Channels, 300)
	}
	assert.NotZero(t, refused)
	require.NoError(t, x.Publish(t.Context(), "/the/servers/own", 1), "the server itself is not bound")
	x.over()
}

// Sessions of one address, also those that have ended, share what it may take,
// and who comes from elsewhere still gets a channel.
func TestOneAddressCannotTakeAllChannels(t *testing.T) {
	x := attack(t, server.WithLimits(server.Limits{Channels: 1000, ChannelsPerAddr: 150}), unhurried)
	refused := 0
	for i := range scaled(10) {
		s := x.shaken()
		refused += s.creates(50, i, "429:channels_per_addr,150:")
		s.Close()
		assert.Less(t, x.Stats().Channels, 200)
	}
	assert.NotZero(t, refused)
	assert.EqualValues(t, refused, x.Stats().Limited["channels_per_addr"])
	require.NoError(t, x.Publish(t.Context(), "/the/servers/own", 1), "the server itself is not bound")
	require.Eventually(t, func() bool { return x.Stats().Channels < 50 }, long, time.Millisecond, "unused channels go")
	s := x.shaken()
	r := s.asks(`[{"channel":"/again","id":"z","clientId":"$","data":1}]`, "z")
	assert.True(t, r.Successful, "and the address may create some again: %s", r.Error)
	s.Close()
	x.before.channels++ // which goes as the others did
	x.over()
}

func TestASubscriptionBombEndsAtTheLimitAndLeavesNoSubscriptions(t *testing.T) {
	x := attack(t, server.WithLimits(server.Limits{Subscriptions: 100, ChannelsCreated: -1}))
	s := x.joined()
	refused := 0
	for i := range scaled(100) {
		var all []string
		for k := range 100 {
			all = append(all, fmt.Sprintf(`"/bomb/%d/%d"`, i, k))
		}
		r := s.asks(`[{"channel":"/meta/subscribe","id":"z","clientId":"$","subscription":[`+strings.Join(all, ",")+`]}]`, "z")
		if strings.HasPrefix(r.Error, "429:subscriptions,100:") {
			refused++
		}
		assert.LessOrEqual(t, len(x.Session(s.id).Subscriptions()), 100)
	}
	assert.GreaterOrEqual(t, refused, scaled(100)-1)
	x.over()
}

func TestAFloodOfHandshakesEndsAtTheLimitAndIsForgotten(t *testing.T) {
	x := attack(t, server.WithLimits(server.Limits{Sessions: 20}))
	s := x.open()
	refused := 0
	for range scaled(500) {
		s.text(handshake)
		r := s.expect()[0]
		if !r.Successful {
			refused++
			assert.Equal(t, "503:sessions,20:try_again_later", r.Error)
			assert.Equal(t, "handshake", r.Advice.Reconnect)
		}
		assert.LessOrEqual(t, x.Stats().Sessions, 20)
	}
	assert.NotZero(t, refused)
	status, _, body := x.exchange("[" + strings.Repeat(strings.Trim(handshake, "[]")+",", 20) + strings.Trim(handshake, "[]") + "]")
	assert.Equal(t, 200, status)
	assert.Len(t, replies(x, body), 1, "a handshake is alone")
	s.Close()
	x.over()
}

func TestAGiantBatchIsRefusedAndAFullOneIsAnswered(t *testing.T) {
	x := attack(t)
	s := x.joined()
	one := `{"channel":"/nobody","id":"7","clientId":"$"}`
	s.text("[" + strings.Repeat(one+",", 511) + one + "]")
	for n := 0; n < 512; {
		n += len(s.expect())
	}
	s.text("[" + strings.Repeat(one+",", 512) + one + "]")
	code, says := s.closing()
	assert.Equal(t, 1009, code)
	assert.Contains(t, says, "512")
	x.over()
}

// A frame's announced length costs nothing before its bytes come.
func TestAnnouncedBytesAreNotMemory(t *testing.T) {
	x := attack(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var all []*socket
	for range scaled(100) {
		s := x.open()
		s.say("\x81\xfe\xff\xff1234[") // 64 KiB, and one byte of them
		all = append(all, s)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapInuse) - int64(before.HeapInuse)
	assert.Less(t, grown, int64(len(all))*40<<10, "bytes of heap, of %d MiB announced", len(all)*64>>10)
	for _, s := range all {
		s.Close()
	}
	x.over()
}

// A peer that shakes hands without end fills its own address's share: others
// still get in.
func TestOneAddressCannotTakeAllSessions(t *testing.T) {
	x := attack(t, server.WithLimits(server.Limits{Sessions: 100, SessionsPerAddr: 20}))
	s := x.open()
	refused := 0
	for range scaled(200) {
		s.text(handshake)
		if r := s.expect()[0]; !r.Successful {
			refused++
			assert.Equal(t, "503:sessions_per_addr,20:try_again_later", r.Error)
			assert.Equal(t, "handshake", r.Advice.Reconnect)
		}
		assert.LessOrEqual(t, x.Stats().Sessions, 20)
	}
	assert.NotZero(t, refused)
	assert.EqualValues(t, refused, x.Stats().Limited["sessions_per_addr"])
	other := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}} // Linux has all of 127/8
	if c, err := other.DialContext(t.Context(), "tcp", x.addr); err == nil {
		body := strings.Replace(handshake, "1", "2", 1)
		fmt.Fprintf(c, "POST /cometd HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", x.addr, len(body), body)
		answer, _ := io.ReadAll(c)
		assert.Contains(t, string(answer), `"successful":true`)
		c.Close()
	}
	s.Close()
	x.over()
}
