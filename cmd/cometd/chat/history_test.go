package chat

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gocometd/cometd/bayeux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func said(n int) entry {
	return entry{Data: json.RawMessage(`"` + strings.Repeat("x", n-2) + `"`)}
}

func TestHistoryKeepsTheLastMessages(t *testing.T) {
	var h history
	for i := range historyMessages + 10 {
		h.add(entry{At: int64(i), Data: json.RawMessage("1")})
	}
	assert.Len(t, h.entries, historyMessages)
	assert.EqualValues(t, 10, h.entries[0].At)
	assert.EqualValues(t, historyMessages+9, h.entries[len(h.entries)-1].At)
	assert.Equal(t, historyMessages, h.bytes)
}

func TestHistoryIsBoundedInBytes(t *testing.T) {
	var h history
	for range 6 {
		h.add(said(historyBytes / 4))
	}
	assert.Len(t, h.entries, 4)
	assert.Equal(t, historyBytes, h.bytes)
	h.add(said(historyBytes/4 + 1)) // too large: kept out, and pushes nothing out
	assert.Len(t, h.entries, 4)
}

// A message's data is a part of a block, of kilobytes if its id is long.
func TestHistoryKeepsTheDataAlone(t *testing.T) {
	r := newRooms(t)
	block := []byte(strings.Repeat("x", 15000) + "1")
	m := &bayeux.Message{Channel: "/chat/lobby", Data: block[15000:]}
	require.NoError(t, r.record(t.Context(), nil, m))
	block[15000] = '2'
	kept := r.lastOf("lobby")
	require.Len(t, kept, 1)
	assert.Equal(t, "1", string(kept[0].Data))
	assert.Less(t, cap(kept[0].Data), 64)
}

func TestRoomNamesLookTheSameToAll(t *testing.T) {
	for _, good := range []string{"lobby", "release-2", "7", strings.Repeat("a", nameRunes)} {
		assert.True(t, isRoomName(good), good)
	}
	for _, bad := range []string{"", "Lobby", "a/b", "a b", "*", "**", "é", "a\n", strings.Repeat("a", nameRunes+1)} {
		assert.False(t, isRoomName(bad), "%q", bad)
	}
}

func TestNamesOfPeopleAreOneShortLine(t *testing.T) {
	for in, want := range map[string]string{
		"  Ada   Lovelace ":      "Ada Lovelace",
		"a\nb\tc":                "abc",
		"\u202egnirts":           "gnirts",
		"Žofie 👩":                "Žofie 👩",
		strings.Repeat("é", 100): strings.Repeat("é", nameRunes),
		"\x00\u200b":             "",
	} {
		assert.Equal(t, want, tidyName(in), "%q", in)
	}
}
