package bayeux

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The whole table: rows are states, columns events; a dot is illegal.
const stateTable = `
              hs-sent     hs-ok      connect-ok    conn-lost    sess-lost    disc-sent     disc-ok refused
disconnected  handshaking .          .             disconnected disconnected stopped       .       stopped
handshaking   handshaking connecting .             disconnected disconnected disconnecting .       stopped
connecting    handshaking .          connected     unconnected  disconnected disconnecting stopped stopped
connected     handshaking .          connected     unconnected  disconnected disconnecting stopped stopped
unconnected   handshaking .          connected     unconnected  disconnected disconnecting stopped stopped
disconnecting .           .          disconnecting stopped      stopped      .             stopped stopped
stopped       handshaking .          .             .            .            .             .       .
`

func TestStatesFollowTheTable(t *testing.T) {
	rows := strings.Split(strings.TrimSpace(stateTable), "\n")[1:]
	assert.Len(t, rows, int(Stopped)+1)
	for s, row := range rows {
		cells := strings.Fields(row)
		from := State(s)
		assert.Equal(t, cells[0], from.String())
		for e, want := range cells[1:] {
			next, err := from.Next(Event(e))
			if want == "." {
				assert.Equal(t, from, next)
				assert.ErrorContains(t, err, "state "+from.String()+" does not allow the event "+Event(e).String())
				continue
			}
			assert.NoError(t, err)
			assert.Equal(t, want, next.String(), "%v, %v", from, Event(e))
		}
	}
}

func TestUnknownStatesAndEventsAreErrors(t *testing.T) {
	_, err := State(99).Next(HandshakeSent)
	assert.EqualError(t, err, "bayeux: state State(99) does not allow the event handshake sent")
	_, err = State(-1).Next(Event(-1))
	assert.EqualError(t, err, "bayeux: state State(-1) does not allow the event Event(-1)")
	_, err = Connected.Next(Event(99))
	assert.Error(t, err)
}
