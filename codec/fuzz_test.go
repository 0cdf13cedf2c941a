package codec

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/gocometd/cometd/internal/corpus"
	"github.com/gocometd/cometd/internal/fuzzing"
	"github.com/stretchr/testify/require"
)

// shallow is the length to which nothing is nested deeper than encoding/json goes,
// which is 10,000 levels: what is longer may be judged only where it is known.
const shallow = 8192

// small are seeds that a fuzzer can work with: nasty inputs, payloads of every
// kind, and what real peers sent.
func small(t testing.TB) (seeds [][]byte) {
	for _, c := range nastyInputs() {
		seeds = append(seeds, []byte(c.in))
	}
	for _, d := range corpus.Docs() {
		seeds = append(seeds, d.B)
	}
	files, err := filepath.Glob("../bayeux/testdata/*.jsonl")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		seeds = append(seeds, bytes.Split(bytes.TrimSpace(text), []byte("\n"))...)
	}
	for _, hosts := range []string{`[]`, `[null]`, `["a",null]`, `["a"]`, `["\ud800"]`, `"a"`} {
		seeds = append(seeds, []byte(`[{"channel":"/meta/connect","advice":{"hosts":`+hosts+`}}]`))
	}
	kept := seeds[:0]
	for _, s := range seeds {
		if len(s) < shallow {
			kept = append(kept, s)
		}
	}
	return kept
}

// judge holds Parse to the oracle: it accepts the same, reads the same through
// views and detached, leaves the input alone, and what it read is written to
// something that reads the same again.
func judge(t *testing.T, payload []byte) {
	in := bytes.Clone(payload)
	b, err := Parse(in, Limits{Bytes: -1, Messages: -1, Depth: -1, DataDepth: -1})
	want, ok := oracle(payload)
	if ok != (err == nil) {
		t.Fatalf("%q: Parse says %v, the oracle accepts: %v", payload, err, ok)
	}
	if !bytes.Equal(in, payload) {
		t.Fatalf("%q: the input was changed", payload)
	}
	if !ok {
		return
	}
	if len(b.Views) != len(want) {
		t.Fatalf("%q: %d views, want %d", payload, len(b.Views), len(want))
	}
	for i := range b.Views {
		v, w := &b.Views[i], want[i]
		if string(v.Channel) != w.Channel || string(v.ID) != w.ID || string(v.ClientID) != w.ClientID || v.Outcome != w.Outcome ||
			!bytes.Equal(v.Data.b, w.Data) || v.Data.IsZero() != (w.Data == nil) || v.Ext.IsZero() != (w.Ext == nil) {
			t.Fatalf("%q: view %d is %+v, want %+v", payload, i, v, w)
		}
		if one := v.Detach(); !reflect.DeepEqual(one, w) {
			t.Fatalf("%q: message %d is %+v, want %+v", payload, i, one, w)
		}
	}
	got := b.Detach()
	b.Release()
	clear(in)
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q: the batch is %+v, want %+v", payload, got, want)
	}
	out, err := AppendBatch(nil, got...)
	if err != nil {
		t.Fatalf("%q: not written again: %v", payload, err)
	}
	if b, err = Parse(out, Limits{Bytes: -1, Messages: -1, Depth: -1, DataDepth: -1}); err != nil {
		t.Fatalf("%q: written as %q: %v", payload, out, err)
	}
	if again := b.Detach(); !reflect.DeepEqual(again, want) {
		t.Fatalf("%q: written as %q, which is %+v", payload, out, again)
	}
	b.Release()
}

// The payloads that the benchmarks measure are judged too, those of 100 KB and
// batches of a hundred among them, and their values decoded as encoding/json does.
func TestEveryPayloadOfTheCorpusIsJudgedRight(t *testing.T) {
	for _, d := range corpus.Docs() {
		t.Run(d.Name, func(t *testing.T) {
			if _, ok := oracle(d.B); !ok {
				t.Fatal("the oracle refuses it")
			}
			judge(t, d.B)
			alike[any](t, d.B)
			alike[[]everything](t, d.B)
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range small(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		fuzzing.Watch(t)
		if len(payload) <= shallow {
			judge(t, payload)
		}
	})
}

// Any bytes as data: the scanner accepts what encoding/json accepts, in UTF-8.
func FuzzData(f *testing.F) {
	for _, s := range small(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzing.Watch(t)
		err := check(data)
		if want := json.Valid(data) && utf8.Valid(data); want != (err == nil) {
			t.Fatalf("%q: %v, want valid: %v", data, err, want)
		}
		if len(data) <= shallow {
			judge(t, append(append([]byte(`[{"channel":"/a","data":`), data...), `}]`...))
		}
	})
}

// Any text as channel, id and data makes frames that read back as it was.
func FuzzAppend(f *testing.F) {
	f.Add("/a", "1", "x")
	f.Add("/\"\\\n\x00\u2028\xff", "é", "\xed\xa0\x80")
	f.Fuzz(func(t *testing.T, ch, id, text string) {
		fuzzing.Watch(t)
		clean := func(s string) string { return string(bytes.ToValidUTF8([]byte(s), []byte("\ufffd"))) }
		data, err := Encode(text)
		require.NoError(t, err)
		payload := append([]byte{'['}, AppendEvent(nil, ch, data)...)
		payload = AppendPrefixed(append(payload, ','), EventPrefix(ch), data)
		payload = AppendAck(append(payload, ','), []byte(ch), []byte(id))
		b, err := Parse(append(payload, ']'), Limits{Bytes: -1})
		require.NoError(t, err)
		defer b.Release()
		for i := range b.Views[:2] {
			require.True(t, runesAlike(clean(ch), string(b.Views[i].Channel)))
			var back string
			require.NoError(t, b.Views[i].Data.Decode(&back))
			require.Equal(t, clean(text) == text, back == text)
		}
		require.True(t, runesAlike(clean(id), string(b.Views[2].ID)))
	})
}

// runesAlike ignores how many U+FFFD stand for a run of bad bytes.
func runesAlike(a, b string) bool {
	squeeze := func(s string) (out []rune) {
		for _, r := range s {
			if r != utf8.RuneError || len(out) == 0 || out[len(out)-1] != r {
				out = append(out, r)
			}
		}
		return out
	}
	return string(squeeze(a)) == string(squeeze(b))
}
