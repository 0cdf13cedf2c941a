package replayserver_test

import (
	"strings"
	"testing"

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
