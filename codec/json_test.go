package codec

import (
	"encoding/json"
	"reflect"
	"sync"
	"testing"

	"github.com/gocometd/cometd/internal/corpus"
	"github.com/gocometd/cometd/internal/fuzzing"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type everything struct {
	User string          `json:"user"`
	Text string          `json:"text"`
	Ts   int64           `json:"ts"`
	F    float64         `json:"f"`
	Tags []string        `json:"tags"`
	M    map[string]any  `json:"m"`
	Sub  *corpus.Tick    `json:"sub"`
	Raw  json.RawMessage `json:"raw"`
	Any  any             `json:"any"`
}

// On what the scanner has accepted, Fast decodes and encodes as encoding/json
// does.
func FuzzFastIsStd(f *testing.F) {
	for _, s := range small(f) {
		f.Add(s)
	}
	f.Add([]byte(`{"user":"x","text":"\ud83d\ude00","ts":1,"f":1e3,"tags":["a"],"m":{"a":[1]},"sub":{"sym":"A","bid":1.5},"raw":[1],"any":{}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		fuzzing.Watch(t)
		if check(text) != nil {
			return
		}
		alike[any](t, text)
		alike[everything](t, text)
	})
}

func alike[T any](t *testing.T, text []byte) {
	var fast, std T
	errFast, errStd := Fast.Unmarshal(text, &fast), Std.Unmarshal(text, &std)
	if (errFast == nil) != (errStd == nil) || errStd == nil && !reflect.DeepEqual(fast, std) {
		t.Fatalf("%q: Fast %+v, %v; Std %+v, %v", text, fast, errFast, std, errStd)
	}
	if errStd != nil {
		return
	}
	outFast, errFast := Fast.Marshal(fast)
	outStd, errStd := Std.Marshal(std)
	if errFast != nil || errStd != nil || string(outFast) != string(outStd) {
		t.Fatalf("%q: Fast %s, %v; Std %s, %v", text, outFast, errFast, outStd, errStd)
	}
}

// Types that nobody has used before, from many goroutines at once: run it with
// -race.
func TestFastMayMeetATypeEverywhereAtOnce(t *testing.T) {
	var types []reflect.Type
	for i := range 20 {
		types = append(types, reflect.StructOf([]reflect.StructField{
			{Name: "User", Type: reflect.TypeFor[string](), Tag: `json:"user"`},
			{Name: "Tags", Type: reflect.ArrayOf(i+1, reflect.TypeFor[string]()), Tag: `json:"tags"`},
		}))
	}
	data, err := Encode(map[string]any{"user": "a", "tags": []string{"x"}})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, typ := range types {
				v := reflect.New(typ).Interface()
				assert.NoError(t, data.Decode(v))
				_, err := Encode(v)
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
}

// What a failed call leaves behind reaches no other: bad and good texts in
// turn, from several goroutines.
func TestFastForgetsWhatFailed(t *testing.T) {
	bad := [][]byte{[]byte(`{"user":5}`), []byte(`{"tags":{"a":1}}`), []byte(`{"sub":[1]}`), []byte(`[1,{"user":"x"}]`)}
	b, err := Parse(corpus.Get("pub1"), Limits{})
	require.NoError(t, err)
	defer b.Release()
	var want corpus.Chat
	require.NoError(t, b.Views[0].Data.DecodeWith(Std, &want))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				r, err := Encode(bad[(i+g)%len(bad)])
				assert.NoError(t, err)
				assert.Error(t, r.Decode(new(everything)))
				var got corpus.Chat
				assert.NoError(t, b.Views[0].Data.Decode(&got))
				assert.Equal(t, want, got)
			}
		})
	}
	wg.Wait()
}

// Decoded values do not point into the batch.
func TestDecodedValuesOutliveTheBatch(t *testing.T) {
	for _, j := range []JSON{Fast, Std} {
		payload := []byte(`[{"data":{"user":"somebody","raw":{"a":"bcd"},"any":["text"]}}]`)
		b, err := Parse(payload, Limits{})
		require.NoError(t, err)
		var got everything
		require.NoError(t, b.Views[0].Data.DecodeWith(j, &got))
		b.Release()
		for i := range payload {
			payload[i] = 'x'
		}
		assert.Equal(t, everything{User: "somebody", Raw: json.RawMessage(`{"a":"bcd"}`), Any: []any{"text"}}, got)
	}
}
