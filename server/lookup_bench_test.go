package server

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// forest is a server with so many channels /tree/N/leaf and the patterns
// /tree/N/* and /tree/**, without a subscriber to any.
func forest(tb testing.TB, channels int) (srv *Server, names [][]byte) {
	srv, err := New(WithLimits(Limits{Channels: -1}), WithChannel("/**", ChannelOptions{Persistent: true}))
	require.NoError(tb, err)
	tb.Cleanup(func() { srv.Close() })
	srv.createChannel("/tree/**", nil)
	for i := range channels {
		name := fmt.Sprintf("/tree/%d/leaf", i)
		srv.createChannel(name, nil)
		srv.createChannel(fmt.Sprintf("/tree/%d/*", i), nil)
		names = append(names, []byte(name))
	}
	return srv, names
}

// audience is what a publish does before it knows its receivers: it finds the
// channel and all its patterns, and asks each for its subscribers.
func (r *registry) audience(name []byte) (patterns, subscribers int) {
	rt := r.routeOf(r.get(name))
	for _, p := range rt.patterns {
		subscribers += p.subs.len()
	}
	return len(rt.patterns), subscribers
}

// The lookup of a channel with its patterns, among so many channels, each of them
// in turn: known is the usual case, changed the first one after a pattern came or
// went, which works the patterns out.
func BenchmarkLookup(b *testing.B) {
	for _, channels := range []int{1, 1000, 100_000} {
		srv, names := forest(b, channels)
		run := func(name string, before func()) {
			b.Run(fmt.Sprintf("%s/channels=%d", name, channels), func(b *testing.B) {
				b.ReportAllocs()
				for i := range names {
					srv.channels.audience(names[i])
				}
				i := 0
				for b.Loop() {
					before()
					srv.channels.audience(names[i])
					if i++; i == len(names) {
						i = 0
					}
				}
			})
		}
		run("known", func() {})
		run("changed", func() { srv.channels.generation.Add(1) })
	}
}
