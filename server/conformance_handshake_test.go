package server_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

// docs/protocol.md §21: a failed handshake says handshake or none.
func TestAFailedHandshakeNeverSaysRetryWhateverThePolicyWants(t *testing.T) {
	patient := &bayeux.Error{Code: 403, Message: "later", Advice: &bayeux.Advice{Reconnect: bayeux.Retry, Interval: bayeux.SpanOf(time.Second)}}
	ext := server.Extension{Channels: []string{bayeux.MetaHandshake}}
	ext.Incoming = func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
		switch m.ID {
		case "answered":
			return server.Answer(&bayeux.Message{Outcome: bayeux.Failed, Error: "403::later", Advice: patient.Advice.Clone()})
		case "extension":
			return patient
		}
		return nil
	}
	policy := server.Policy{Handshake: func(context.Context, *server.Session, *bayeux.Message) error { return patient }}
	everywhere(t, func(t *testing.T, w *world) {
		for _, id := range []string{"policy", "extension", "answered"} {
			m := w.client().ask(`{"channel":"/meta/handshake","id":"` + id + `","version":"1.0"}`)
			assert.Equal(t, "403::later", m.Error, id)
			assert.Equal(t, bayeux.HandshakeAgain, m.Advice.Reconnect, id)
			assert.Equal(t, time.Second, m.Advice.Interval.Or(0), id)
		}
		assert.Equal(t, bayeux.Retry, patient.Advice.Reconnect, "the application's own error is not touched")
	}, server.WithPolicy(policy), server.WithExtension(ext))
}
