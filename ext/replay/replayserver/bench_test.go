package replayserver_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/replayserver"
)

// What one message of 128 bytes costs a Memory that keeps the last thousand.
//
//	go test -run xxx -bench Append ./ext/replay/replayserver
func BenchmarkAppend(b *testing.B) {
	s := replayserver.NewMemory(replayserver.Rule{Pattern: "/**", Messages: 1000})
	data := []byte(strings.Repeat("x", 128))
	b.ReportAllocs()
	for b.Loop() {
		s.Append("/a", func(replay.ID) []byte { return data }, func(replay.ID, []byte, error) {})
	}
}

// subscribeTo is a subscribe of n channels, each of which has a position and a
// number, under a name with a slash at its end.
func subscribeTo(n int) *bayeux.Message {
	m := &bayeux.Message{Channel: bayeux.MetaSubscribe, Subscription: bayeux.Subscription{List: true}}
	positions, numbers := map[string]replay.ID{}, map[string]int{}
	for i := range n {
		ch := fmt.Sprintf("/%x", i)
		m.Subscription.Channels = append(m.Subscription.Channels, ch)
		positions[ch+"/"], numbers[ch+"/"] = replay.All, i+1
	}
	if m.Ext.Set(replay.Name, positions) != nil || m.Ext.Set(replay.Marks, numbers) != nil {
		panic("replayserver: positions are no JSON")
	}
	return m
}

// What it costs to be asked for so many channels by one subscribe.
//
//	go test -run xxx -bench Join ./ext/replay/replayserver
func BenchmarkJoin(b *testing.B) {
	s := replayserver.NewMemory(replayserver.Rule{Pattern: "/**", Messages: 1000})
	for _, n := range []int{1, 100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := replayserver.Join(s, subscribeTo(n)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The positions of all channels stand in one map, which is read once: to ask for
// eight times as many costs eight times as much, not the square of that.
func TestASubscribeOfManyChannelsCostsNoMoreForEach(t *testing.T) {
	s := replayserver.NewMemory(replayserver.Rule{Pattern: "/**", Messages: 1000})
	cost := func(n int) float64 {
		return testing.AllocsPerRun(1, func() { require.NoError(t, replayserver.Join(s, subscribeTo(n))) }) / float64(n)
	}
	assert.Less(t, cost(800), 2*cost(100))
}
