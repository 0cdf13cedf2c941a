package client

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/gocometd/cometd/bayeux"
	"github.com/stretchr/testify/assert"
)

// Whoever knows a session's id may speak for it, so a log must not.
func TestStatesAndStatsShowNoSessionID(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	ch := Change{From: bayeux.Unconnected, To: bayeux.Connected, Transport: "websocket", Session: secret, Resumed: true, Err: errRefused}
	stats := Stats{Change: ch, Received: 3}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "change", ch, "stats", stats)
	shown := log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		shown += fmt.Sprintf(verb, ch) + fmt.Sprintf(verb, stats) + fmt.Sprintf(verb, []any{&ch, &stats, Event(ch)})
	}
	assert.NotContains(t, shown, secret)
	assert.NotContains(t, shown, secret[:24])
	assert.Equal(t, "unconnected to connected over websocket in session …89abcdef, resumed: "+errRefused.Error(), ch.String())
	assert.Contains(t, stats.String(), ch.String()+"; received 3, ")
	assert.Contains(t, log.String(), "change.session=…89abcdef")
	assert.Contains(t, log.String(), "stats.received=3")
	assert.Equal(t, "…", shortened("abc"), "a short id has nothing to spare")
}
