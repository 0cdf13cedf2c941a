package codec

import (
	"math/rand/v2"
	"testing"

	"github.com/gocometd/cometd/internal/corpus"
)

// Good and nasty inputs, blindly changed by bytes and by tokens, are judged as
// the oracle does: the differential without a fuzzing engine, in a second.
func TestMutatedPayloadsAreJudgedRight(t *testing.T) {
	pool := small(t)
	for _, name := range []string{"pub1", "connect", "handshake"} {
		pool = append(pool, corpus.Get(name), corpus.Get(name)) // good ones more often
	}
	tokens := []string{`"`, `\`, `{`, `}`, `[`, `]`, `:`, `,`, ` `, "\n", `null`, `true`, `false`, `0`, `-1`, `1e5`, `1.5`, `"channel":`, `"id":`, `"data":`,
		`"ext":`, `"subscription":`, `"advice":{"timeout":`, `"successful":`, `"clientId":`, `\u0041`, `\ud83d\ude00`, `\ud800`, `"cha\u006enel":`, "\x00", "\xff",
		"é", "世", "🎉", "\xed\xa0\x80", `99999999999999999999`, `"supportedConnectionTypes":["a"]`, `{"a":[1,{"b":2}]}`, `""`}
	seed := rand.Uint64()
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20000 {
		b := append([]byte(nil), pool[r.IntN(len(pool))]...)
		for range 1 + r.IntN(4) {
			b = mutate(r, b, pool, tokens)
		}
		judge(t, b)
	}
}

func mutate(r *rand.Rand, b []byte, pool [][]byte, tokens []string) []byte {
	if len(b) == 0 {
		return b
	}
	i := r.IntN(len(b))
	switch r.IntN(6) {
	case 0:
		b[i] = byte(r.IntN(256))
		return b
	case 1:
		return append(b[:i], b[i+1:]...)
	case 2:
		return b[:i]
	case 3:
		other := pool[r.IntN(len(pool))]
		from := r.IntN(len(other) + 1)
		return splice(b, i, other[from:min(len(other), from+r.IntN(20))])
	}
	return splice(b, i, []byte(tokens[r.IntN(len(tokens))]))
}

func splice(b []byte, i int, piece []byte) []byte {
	return append(b[:i:i], append(append([]byte(nil), piece...), b[i:]...)...)
}
