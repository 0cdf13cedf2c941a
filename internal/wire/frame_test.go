//go:build !js

package wire

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/internal/fuzzing"
	"github.com/gocometd/cometd/internal/wire/wiretest"
)

func TestFramesHaveTheShortestHead(t *testing.T) {
	for _, client := range []bool{false, true} {
		for _, n := range []int{0, 1, 7, 8, 9, 125, 126, 127, 65535, 65536, 100_000} {
			payload := strings.Repeat("0123456789", n/10+1)[:n]
			b := newBuffer()
			b.b = append(b.b, payload...)
			f := b.frame(fin|opText, client)
			want := wiretest.Frame(fin|opText, payload)
			if !client {
				require.Equal(t, want, string(f))
				continue
			}
			require.Len(t, f, len(want)+4)
			seen, err := wiretest.Read(bufio.NewReader(bytes.NewReader(f)))
			require.NoError(t, err)
			require.True(t, seen.Masked)
			require.Equal(t, payload, seen.Payload)
		}
	}
}

func TestEveryFrameHasItsOwnMask(t *testing.T) {
	keys := map[[4]byte]bool{}
	for range 100 {
		f := control(fin|opPing, []byte("x"), true)
		seen, err := wiretest.Read(bufio.NewReader(bytes.NewReader(f)))
		require.NoError(t, err)
		keys[seen.Key] = true
	}
	assert.Greater(t, len(keys), 95)
}

func TestLongCloseTextsAreCutBetweenRunes(t *testing.T) {
	for _, client := range []bool{false, true} {
		f, err := wiretest.Read(bufio.NewReader(bytes.NewReader(closeFrame(1000, strings.Repeat("é", 100), client))))
		require.NoError(t, err)
		code, text, why := parseClose([]byte(f.Payload))
		assert.Equal(t, 1000, code)
		assert.Equal(t, strings.Repeat("é", 61), text)
		assert.Empty(t, why)
	}
}

// However a text is cut into pieces, it is judged as a whole.
func FuzzText(f *testing.F) {
	f.Add([]byte("κόσμε"), uint8(3))
	f.Add([]byte("a\xf0\x9f\x98\x80b"), uint8(1))
	f.Add([]byte("a\xf0\x9f\x98"), uint8(2))
	f.Add([]byte("\xed\xa0\x80"), uint8(1))
	f.Add([]byte("\xe2\xffa"), uint8(2))
	f.Fuzz(func(t *testing.T, p []byte, step uint8) {
		fuzzing.Watch(t)
		var x text
		valid := true
		for rest := p; len(rest) > 0 && valid; {
			n := min(len(rest), int(step%7)+1)
			valid = x.accepts(rest[:n])
			rest = rest[n:]
		}
		if got := valid && x.whole(); got != utf8.Valid(p) {
			t.Fatalf("%q in steps of %d: valid is %v", p, step%7+1, got)
		}
	})
}

func TestDeflateIsUndoneByInflate(t *testing.T) {
	for _, s := range []string{strings.Repeat("abc", 1000), strings.Repeat("κ", 50_000)} {
		b := newBuffer()
		b.b = append(b.b, s...)
		small, ok := b.deflate()
		require.True(t, ok)
		got, err := wiretest.Inflate(string(small.payload()))
		require.NoError(t, err)
		assert.Equal(t, s, got)
	}
	b := newBuffer()
	b.b = append(b.b, "x"...)
	_, ok := b.deflate()
	assert.False(t, ok, "what would grow goes raw")
}
