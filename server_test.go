package cometd_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
)

func TestALocalClientNeedsNoTransportOfTheServers(t *testing.T) {
	for name, opts := range map[string][]server.Option{
		"all":          nil,
		"long-polling": {server.WithTransports(longpoll.NewAcceptor())},
		"none":         {server.WithTransports()},
		"strict":       {server.WithTransports(longpoll.NewAcceptor()), server.WithStrictHandshake()},
	} {
		t.Run(name, func(t *testing.T) {
			srv, err := cometd.NewServer(opts...)
			require.NoError(t, err)
			defer srv.Close()
			c, err := cometd.Local(srv)
			require.NoError(t, err)
			defer c.Close()
			require.NoError(t, c.Wait(t.Context()))
			for s := range srv.Sessions() {
				assert.Equal(t, bayeux.InProcess, s.Transport())
			}
		})
	}
}
