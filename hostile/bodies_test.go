package hostile_test

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	. "github.com/gocometd/cometd/internal/wire/wiretest"
)

const piece = 64 << 10

// stream sends size bytes of one string of JSON, wrapped piece by piece, for as
// long as the far side takes them, and says how many it took.
func (r *raw) stream(size int, wrap func(string) string) (sent int) {
	next, others := wrap(`["`+strings.Repeat("x", piece-2)), wrap(strings.Repeat("x", piece))
	for ; sent < size; sent += piece {
		if _, err := io.WriteString(r, next); err != nil {
			break
		}
		next = others
	}
	return sent
}

func plain(s string) string { return s }
func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

func masked(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] ^= Key[i%4]
	}
	return string(b)
}

// live is the heap in use, without garbage.
func live() int {
	runtime.GC()
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	return int(heap[0].Value.Uint64())
}

// highest is the most heap in use while f runs, with little garbage.
func highest(f func()) (most uint64) {
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	for {
		metrics.Read(heap)
		most = max(most, heap[0].Value.Uint64())
		select {
		case <-done:
			return most
		case <-time.After(time.Millisecond):
		}
	}
}

// Bodies and frames a thousand times over the limit are answered, not kept.
func TestSixtyFourMebibytesAreRefusedWithoutMemoryForThem(t *testing.T) {
	const (
		size = 64 << 20
		room = 4 << 20 // for what the healthy clients and this test itself make meanwhile: a quarter of that, when measured
	)
	x := attack(t)
	post := "POST /cometd HTTP/1.1\r\nHost: " + x.addr + "\r\n"
	for name, send := range map[string]func(r *raw) int{
		"announced": func(r *raw) int {
			r.say("%sContent-Length: %d\r\n\r\n", post, size)
			return r.stream(size, plain)
		},
		"in chunks": func(r *raw) int {
			r.say("%sTransfer-Encoding: chunked\r\n\r\n", post)
			return r.stream(size, chunk)
		},
	} {
		runtime.GC()
		before := highest(func() {})
		var status, sent int
		var text string
		most := highest(func() {
			r := x.dial()
			defer r.Close()
			sending := make(chan int)
			go func() { sending <- send(r) }()
			status, _, text = r.answer()
			sent = <-sending
		})
		t.Logf("%s: %d, %d KiB sent, %d KiB more heap", name, status, sent>>10, (int64(most)-int64(before))>>10)
		assert.Equal(t, 413, status, name)
		assert.Contains(t, text, "65536", name)
		assert.Less(t, int64(most)-int64(before), int64(room), name)
	}
	runtime.GC()
	before := highest(func() {})
	most := highest(func() {
		s := x.open()
		defer s.Close()
		s.say("%s", MaskedHead(Fin|Text, size))
		sending := make(chan int)
		go func() { sending <- s.stream(size, masked) }()
		code, _ := s.closing()
		assert.Equal(t, 1009, code)
		s.Close()
		<-sending
	})
	t.Logf("a frame: %d KiB more heap", (int64(most)-int64(before))>>10)
	assert.Less(t, int64(most)-int64(before), int64(room), "a frame")
	x.over()
}

func TestABodyShorterThanAnnouncedIs408InTime(t *testing.T) {
	x := attack(t, hurried(limits))
	r := x.dial()
	begin := time.Now()
	r.say("POST /cometd HTTP/1.1\r\nHost: %s\r\nContent-Length: 100\r\n\r\n[]", x.addr)
	status, _, text := r.answer()
	assert.Equal(t, 408, status, text)
	assert.Contains(t, text, short.String())
	assert.GreaterOrEqual(t, time.Since(begin), short)
	assert.Less(t, time.Since(begin), long)
	r.Close()
	x.over()
}
