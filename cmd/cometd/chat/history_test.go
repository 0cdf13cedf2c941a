package chat

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
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
