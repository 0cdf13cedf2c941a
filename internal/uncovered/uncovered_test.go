package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const source = `package a

func (t *T[R]) Open(name string) error {
	f, err := open(name)
	if err != nil {
		return err
	}
	if f.old {
		// of before
		f.renew()
	}
	switch {
	case f.empty:
		return nil
	}
	return f.read()
}

func unused() { panic("never") }
`

// What of Open was run, and how often: all but the errors and what is old.
const profile = `mode: set
github.com/gocometd/cometd/a.go:3.41,5.16 2 1
github.com/gocometd/cometd/a.go:5.16,7.3 1 0
github.com/gocometd/cometd/a.go:8.2,8.11 1 1
github.com/gocometd/cometd/a.go:8.11,11.3 1 0
github.com/gocometd/cometd/a.go:12.2,12.9 1 1
github.com/gocometd/cometd/a.go:13.15,14.13 1 0
github.com/gocometd/cometd/a.go:16.2,16.17 1 0
github.com/gocometd/cometd/a.go:16.2,16.17 1 3
github.com/gocometd/cometd/a.go:19.15,19.32 1 0
`

const looked = `# what this is

== another computer must fail
a.go
	T.Open: f, err := open(name); if err != nil { return err
== looked at
a.go
	T.Open: if f.old { f.renew()
	~ T.Open: case f.empty: return nil
	unused: (all of it)
`

// compare runs the comparison of a source, a profile and a record.
func compare(t *testing.T, c comparison, source, profile, record string) (said string, ok bool) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"a.go": source, "profile": profile, "record": record} {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	var out strings.Builder
	ok, err := c.run("record", []string{"profile"}, &out)
	require.NoError(t, err)
	return out.String(), ok
}

func TestWhatIsInTheRecordIsAccepted(t *testing.T) {
	said, ok := compare(t, comparison{}, source, profile, looked)
	assert.True(t, ok, said)
	assert.Empty(t, said)
}

func TestTheRecordHoldsWhenLinesMove(t *testing.T) {
	const down = 2
	moved := strings.Replace(source, "\n", strings.Repeat("\n", 1+down), 1)
	var lower strings.Builder
	for text := range strings.Lines(strings.TrimPrefix(profile, "mode: set\n")) {
		s, runs, err := parseSpan(strings.TrimSpace(text))
		require.NoError(t, err)
		fmt.Fprintf(&lower, "%s:%d.%d,%d.%d %d %d\n", s.file, s.line+down, s.col, s.endLine+down, s.endCol, s.statements, runs)
	}
	said, ok := compare(t, comparison{}, moved, lower.String(), looked)
	assert.True(t, ok, said)
	assert.Empty(t, said)
}

func TestWhatIsNotInTheRecordFailsAndNamesItsPackage(t *testing.T) {
	without := strings.Replace(looked, "\tT.Open: if f.old { f.renew()\n", "", 1)
	said, ok := compare(t, comparison{}, source, profile, without)
	assert.False(t, ok)
	assert.Equal(t, "== not run, and not in record\na.go\n\tT.Open: if f.old { f.renew()\n", said)
	said, _ = compare(t, comparison{packages: true}, source, profile, without)
	assert.Equal(t, "./.\n", said)
}

func TestWhatIsRunNowIsSaidAndWhatIsRunNowAndThenIsNot(t *testing.T) {
	all := strings.ReplaceAll(profile, " 0\n", " 1\n")
	said, ok := compare(t, comparison{}, source, all, looked)
	assert.True(t, ok)
	assert.Contains(t, said, "== in record, but run now, or gone\n")
	assert.Contains(t, said, "\tunused: (all of it)\n")
	assert.NotContains(t, said, "f.empty")
}

func TestBlocksOfOneNameAreCounted(t *testing.T) {
	const twice = "package a\n\nfunc f() {\n\tif a {\n\t\tg()\n\t}\n\tif a {\n\t\tg()\n\t}\n}\n"
	const at = "github.com/gocometd/cometd/a.go:"
	profile := "mode: set\n" + at + "3.10,4.7 1 1\n" + at + "4.7,6.3 1 0\n" + at + "7.2,7.7 1 1\n" + at + "7.7,9.3 1 0\n"
	said, _ := compare(t, comparison{lines: true}, twice, profile, "")
	assert.Equal(t, "a.go\n\tf: if a { g() ×2\n", said)
	said, ok := compare(t, comparison{}, twice, profile, "== why\na.go\n\tf: if a { g() ×2\n")
	assert.True(t, ok, said)
	said, ok = compare(t, comparison{}, twice, profile, "== why\na.go\n\tf: if a { g()\n")
	assert.False(t, ok, said)
}

func TestARecordWithoutAReasonIsAnError(t *testing.T) {
	for _, text := range []string{"a.go\n\tf: x\n", "== why\n\tf: x\n", "== why\na.go\n\tno colon\n"} {
		_, err := readRecord(text)
		assert.ErrorContains(t, err, "line ", text)
	}
}
