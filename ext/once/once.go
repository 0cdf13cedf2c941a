// Package once lets a publish that is sent again be taken once: each has a key,
// which stays the same when the client sends it again after a break, and a
// server that knows the key answers as it did the first time. It is this
// module's own extension; the server's half is package onceserver. Other servers
// take no notice of the key, and may pass it on to subscribers.
//
//	c, err := cometd.Dial(ctx, url, client.WithPublishRetry(5, time.Second),
//		client.WithExtension(once.Client()))
//
// The key names the client, not the session, so it holds when the session was
// lost, too.
package once

import (
	"context"
	"crypto/rand"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
)

// Name is that of the ext field with the key.
const Name = "once"

// A Key names one publish of one client: the client by 130 random bits, the
// publish by its message id.
type Key struct {
	Client string `json:"c"`
	ID     string `json:"i"`
}

// Client makes the extension for one client; each needs its own, or the server
// would take the publish of one for that of the other. A second one panics.
func Client() client.Extension {
	name := rand.Text()
	opened := false
	return client.Extension{
		Name: "once",
		Opened: func(*client.Client) {
			if opened {
				panic("once: one extension for two clients: call Client for each")
			}
			opened = true
		},
		Channels: []string{"/none"}, // nothing that arrives
		Requests: []string{"/**"},
		Outgoing: func(_ context.Context, m *bayeux.Message) error {
			if bayeux.Channel(m.Channel).Kind() == bayeux.Meta {
				return nil
			}
			return m.Ext.Set(Name, Key{name, m.ID})
		},
	}
}
