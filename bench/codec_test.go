package bench

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	goccy "github.com/goccy/go-json"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/internal/corpus"
)

// envelope is a message as libraries that go by struct tags read and write it.
type envelope struct {
	Channel        string          `json:"channel"`
	ID             string          `json:"id,omitempty"`
	ClientID       string          `json:"clientId,omitempty"`
	Data           json.RawMessage `json:"data,omitempty"`
	Ext            json.RawMessage `json:"ext,omitempty"`
	Advice         *advice         `json:"advice,omitempty"`
	Successful     *bool           `json:"successful,omitempty"`
	Subscription   json.RawMessage `json:"subscription,omitempty"`
	Version        string          `json:"version,omitempty"`
	MinVersion     string          `json:"minimumVersion,omitempty"`
	ConnTypes      []string        `json:"supportedConnectionTypes,omitempty"`
	ConnectionType string          `json:"connectionType,omitempty"`
	Error          string          `json:"error,omitempty"`
	Timestamp      string          `json:"timestamp,omitempty"`
}

type advice struct {
	Reconnect   string `json:"reconnect,omitempty"`
	Interval    int64  `json:"interval"`
	Timeout     int64  `json:"timeout,omitempty"`
	MaxInterval int64  `json:"maxInterval,omitempty"`
}

var noLimits = codec.Limits{Bytes: -1}

var decoded = []string{"pub1", "connect", "handshake", "chat10", "tick10", "event10", "uni10", "ext10", "mixed100", "json100k", "text100k", "deliver10"}

// Reading one payload: a batch from the pool and back. The libraries reuse
// their slice, which flatters them.
func BenchmarkDecode(b *testing.B) {
	for _, name := range decoded {
		payload := corpus.Get(name)
		measure(b, name+"/ours", len(payload), func() error {
			batch, err := codec.Parse(payload, noLimits)
			if err == nil {
				batch.Release()
			}
			return err
		})
		var std, fast []envelope
		measure(b, name+"/std", len(payload), func() error { clear(std); return json.Unmarshal(payload, &std) })
		measure(b, name+"/goccy", len(payload), func() error { clear(fast); return goccy.Unmarshal(payload, &fast) })
	}
}

// Writing events and replies into a buffer that is used again. encoding/json is
// asked as programs ask it; goccy in the fastest way that it has, which is an
// Encoder that keeps its buffer and escapes no HTML, as ours does not.
func BenchmarkEncode(b *testing.B) {
	all := encoded(b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c := all[name]
		var dst []byte
		measure(b, name+"/ours", c.size, func() (err error) { dst, err = c.ours(dst[:0]); return err })
		measure(b, name+"/std", c.size, func() error { _, err := json.Marshal(c.theirs); return err })
		var out kept
		encoder := goccy.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		measure(b, name+"/goccy", c.size, func() error { out = out[:0]; return encoder.Encode(c.theirs) })
	}
}

// kept is a buffer to write to.
type kept []byte

func (k *kept) Write(p []byte) (int, error) {
	*k = append(*k, p...)
	return len(p), nil
}

type encoding struct {
	size   int
	ours   func(dst []byte) ([]byte, error)
	theirs []envelope
}

func encoded(b *testing.B) map[string]encoding {
	all := map[string]encoding{
		"deliver1":    deliveries(b, "deliver10", 1),
		"deliver10":   deliveries(b, "deliver10", 10),
		"deliver100k": deliveries(b, "json100k", 1),
		"replies10":   replies(),
	}
	for name, c := range all {
		text, err := c.ours(nil)
		require.NoError(b, err)
		var back []envelope
		require.NoError(b, json.Unmarshal(text, &back), name)
		require.Equal(b, c.theirs, back, name)
		c.size = len(text)
		all[name] = c
	}
	return all
}

// deliveries are events as a channel makes them: its prefix is at hand, the
// data is copied as it came, and there is no id. Theirs have none either.
func deliveries(b *testing.B, payload string, n int) encoding {
	batch, err := codec.Parse(corpus.Get(payload), noLimits)
	require.NoError(b, err)
	views := batch.Views[:n] // kept for as long as the benchmark runs
	prefix := codec.EventPrefix(string(views[0].Channel))
	c := encoding{ours: func(dst []byte) ([]byte, error) {
		dst = append(dst, '[')
		for i := range views {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = codec.AppendPrefixed(dst, prefix, views[i].Data)
		}
		return append(dst, ']'), nil
	}}
	for i := range views {
		c.theirs = append(c.theirs, envelope{Channel: string(views[i].Channel), Data: views[i].Data.AppendTo(nil)})
	}
	return c
}

// replies answer nine publishes and a connect, whose reply has a timestamp and all
// of an advice.
func replies() encoding {
	var ms []*bayeux.Message
	var c encoding
	yes := true
	for i := range 10 {
		id := string(rune('0' + i))
		m := &bayeux.Message{Channel: "/chat/demo", ID: id, Outcome: bayeux.Succeeded}
		e := envelope{Channel: m.Channel, ID: id, Successful: &yes}
		if i == 9 {
			m.Channel, e.Channel = bayeux.MetaConnect, bayeux.MetaConnect
			m.Advice = &bayeux.Advice{Reconnect: bayeux.Retry, Interval: bayeux.SpanOf(0), Timeout: bayeux.SpanOf(30e9), MaxInterval: bayeux.SpanOf(10e9)}
			e.Advice = &advice{"retry", 0, 30000, 10000}
			m.Timestamp = "2026-11-20T17:39:00Z"
			e.Timestamp = m.Timestamp
		}
		ms, c.theirs = append(ms, m), append(c.theirs, e)
	}
	c.ours = func(dst []byte) ([]byte, error) { return codec.AppendBatch(dst, ms...) }
	return c
}

// A client's whole way from a payload to the application's values.
func BenchmarkClient(b *testing.B) {
	receive[corpus.Chat](b, "chat", corpus.Get("deliver10"))
	receive[corpus.Tick](b, "tick", corpus.Get("deliver10tick"))
}

func receive[T any](b *testing.B, name string, payload []byte) {
	values := make([]T, 10)
	measure(b, name+"/ours", len(payload), func() error {
		batch, err := codec.Parse(payload, noLimits)
		if err != nil {
			return err
		}
		defer batch.Release()
		for i := range batch.Views {
			if err := batch.Views[i].Data.Decode(&values[i]); err != nil {
				return err
			}
		}
		return nil
	})
	measure(b, name+"/std", len(payload), func() error { return decodeAll(payload, values, json.Unmarshal) })
	measure(b, name+"/goccy", len(payload), func() error {
		return decodeAll(payload, values, func(b []byte, v any) error { return goccy.Unmarshal(b, v) })
	})
}

func decodeAll[T any](payload []byte, values []T, unmarshal func([]byte, any) error) error {
	var ms []envelope
	if err := unmarshal(payload, &ms); err != nil {
		return err
	}
	for i := range ms {
		if err := unmarshal(ms[i].Data, &values[i]); err != nil {
			return err
		}
	}
	return nil
}

func measure(b *testing.B, name string, bytes int, f func() error) {
	b.Run(name, func(b *testing.B) {
		b.SetBytes(int64(bytes))
		b.ReportAllocs()
		if err := f(); err != nil { // memory that is kept for the next is not counted, however few there are
			b.Fatal(err)
		}
		for b.Loop() {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
