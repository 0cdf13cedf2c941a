package codec

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

// quoted puts s where the word scan and where the byte scan meets it.
func quoted(s string) []string {
	return []string{`"` + s + `"`, `"1234567` + s + `"`, `"` + s + `-a tail of more than one word"`, `{"` + s + `":1}`}
}

func TestEveryCharacterIsAccepted(t *testing.T) {
	for r := rune(0x80); r <= utf8.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		b := append(utf8.AppendRune([]byte{'"'}, r), '"')
		if err := check(b); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
	}
}

// All first and second bytes, before what may and may not complete them.
func TestUTF8IsJudgedAsByTheStandardLibrary(t *testing.T) {
	for first := 0x80; first < 0x100; first++ {
		for second := range 0x100 {
			for _, rest := range []string{"", "\x80", "\xbf", "\x7f", "\xc0", "\x80\x80", "\xbf\xbf", "\x80\x7f", "\x80\xc0", "é"} {
				s := string([]byte{byte(first), byte(second)}) + rest
				if second < ' ' || second == '"' || second == '\\' {
					continue
				}
				for _, text := range quoted(s) {
					if got := check([]byte(text)) == nil; got != utf8.ValidString(s) {
						t.Fatalf("%q accepted: %v", text, got)
					}
				}
			}
		}
	}
}

func TestEveryCharacterThatMustBeEscapedIs(t *testing.T) {
	for c := range 0x80 {
		s := string(rune(c))
		bad := c < ' ' || c == '"' || c == '\\'
		for _, text := range quoted(s) {
			assert.Equal(t, !bad, check([]byte(text)) == nil, "%q", text)
		}
		for _, text := range []string{s, "1234567" + s, s + "-a tail of more than one word"} {
			out := appendString(nil, text)
			assert.Nil(t, check(out), "%q", out)
			r := Raw{out}
			var back string
			assert.NoError(t, r.Decode(&back))
			assert.Equal(t, text, back)
		}
	}
}

// A value that stops anywhere, in a buffer of any length, is no value, and no
// read goes past its end. Run it with -race, which checks unsafe pointers.
func TestEveryCutIsRefused(t *testing.T) {
	whole := `{"a key that is long":["\u00e9\n",-12.5e+10,true,false,null,{"":[]},"世界 and a text that is longer than four words of eight bytes each"]}`
	for n := range len(whole) {
		cut := make([]byte, n) // with no capacity beyond
		copy(cut, whole)
		assert.NotNil(t, check(cut[:n:n]), "%q", cut)
		_, err := Parse([]byte(`[{"data":`+string(cut)), Limits{})
		assert.Error(t, err)
		for _, before := range []string{"", `[`, `[{"channel":`} {
			_, err := Parse(append([]byte(before), cut...), Limits{})
			assert.Error(t, err)
		}
	}
	assert.Nil(t, check([]byte(whole)))
}
