//go:build interop

package interop

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A table holds what every cell has passed.
type table struct {
	columns []string // after client, server and transport
	rows    [][]string
	reasons []string // why a cell says n/a, numbered from 1
}

// add takes who has met, what they cannot do and why, and what they have passed.
func (t *table) add(client, server, transport string, not map[string]string, passed map[string]bool) {
	row := []string{client, server, transport}
	for _, name := range t.columns {
		switch why := not[name]; {
		case why != "":
			row = append(row, fmt.Sprintf("n/a (%d)", t.reason(why)))
		case passed[name]:
			row = append(row, "yes")
		default:
			row = append(row, "**no**")
		}
	}
	t.rows = append(t.rows, row)
}

func (t *table) reason(why string) int {
	if !slices.Contains(t.reasons, why) {
		t.reasons = append(t.reasons, why)
	}
	return 1 + slices.Index(t.reasons, why)
}

func (t *table) markdown() string {
	head := append([]string{"client", "server", "transport"}, t.columns...)
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n", strings.Join(head, " | "))
	fmt.Fprintf(&b, "|%s\n", strings.Repeat("---|", len(head)))
	for _, row := range t.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	if len(t.reasons) > 0 {
		b.WriteString("\nn/a, because:\n\n")
	}
	for i, why := range t.reasons {
		fmt.Fprintf(&b, "%d. %s\n", i+1, why)
	}
	return b.String()
}

// summary has a row for each pair, and its transports in one where these have
// passed the same: how many scenarios, of how many that apply, and which do not.
func (t *table) summary() string {
	var rows [][]string
	for _, row := range t.rows {
		passed, apply := 0, 0
		var not []string
		for i, cell := range row[3:] {
			if strings.HasPrefix(cell, "n/a") {
				not = append(not, t.columns[i])
				continue
			}
			if apply++; cell == "yes" {
				passed++
			}
		}
		short := []string{row[0], row[1], row[2], fmt.Sprintf("%d of %d", passed, apply), strings.Join(not, ", ")}
		if n := len(rows) - 1; n >= 0 && slices.Equal(slices.Concat(rows[n][:2], rows[n][3:]), slices.Concat(short[:2], short[3:])) {
			rows[n][2] += ", " + short[2]
			continue
		}
		rows = append(rows, short)
	}
	var b strings.Builder
	b.WriteString("| client | server | transports | scenarios passed | not applicable |\n|---|---|---|---|---|\n")
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	return b.String()
}

// documents show a table between two marks that have its name.
var documents = []string{"README.md", "../README.md"}

// checkDocuments compares what they show with the table just found, and writes
// it with -write.
func checkDocuments(t *testing.T, table, found string) {
	begin, end := "<!-- "+table+" -->\n", "<!-- end of "+table+" -->"
	for _, name := range documents {
		text, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		before, rest, ok := strings.Cut(string(text), begin)
		if !ok {
			continue
		}
		shown, after, ok := strings.Cut(rest, end)
		require.True(t, ok, "%s: the table has no end", name)
		if *write {
			require.NoError(t, os.WriteFile(name, []byte(before+begin+found+end+after), 0o644))
			continue
		}
		assert.Equal(t, found, shown, "%s is out of date: go test -tags interop ./interop -args -write", name)
	}
}
