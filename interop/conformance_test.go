//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An end is one of ours, and how the suite meets it.
type end struct {
	name     string
	meet     func(t *testing.T) []finding
	declined []string // the cases, by prefix, whose compression it need not agree to
}

// Neither end makes its window smaller: the server declines offers that ask for
// it, the client does not offer to.
var ends = []end{
	{"server", meetServer, []string{"13.3.", "13.5."}},
	{"client", meetClient, []string{"13.3.", "13.4.", "13.5.", "13.6."}},
}

// Both ends of the WebSocket keep to RFC 6455 and RFC 7692 in every case of
// Autobahn's test suite.
func TestConformance(t *testing.T) {
	found := make([][]finding, len(ends))
	for i, e := range ends {
		t.Run(e.name, func(t *testing.T) {
			began := time.Now()
			found[i] = e.meet(t)
			e.judge(t, found[i])
			t.Logf("%d cases in %v", len(found[i]), time.Since(began).Round(time.Second))
		})
	}
	shown := conformance(found)
	fmt.Printf("\n%s\n", shown)
	if !t.Failed() && !slices.ContainsFunc(found, func(f []finding) bool { return f == nil }) {
		t.Run("documents", func(t *testing.T) { checkDocuments(t, "conformance table", shown) })
	}
}

// A finding is what the suite has found in one case.
type finding struct {
	Case     string   `json:"case"`
	Behavior string   `json:"behavior"`
	Close    string   `json:"close"`
	Why      []string `json:"why"`
	Binary   bool     `json:"binary"` // it sent a binary message
	Code     int      `json:"code"`   // of our close frame
	Millis   int      `json:"ms"`
}

// What comes of a case.
const (
	passed   = "passed"
	refused  = "refused"  // a binary message, with 1003: a payload of Bayeux is text
	declined = "declined" // there was no agreement on compression
	failed   = "failed"
)

func (f finding) outcome() string {
	good := []string{"OK", "NON-STRICT", "INFORMATIONAL"}
	switch {
	case f.Binary && f.Code == 1003:
		return refused
	case f.Behavior == "UNIMPLEMENTED" && f.Close == "OK":
		return declined
	case slices.Contains(good, f.Behavior) && slices.Contains(good, f.Close):
		return passed
	}
	return failed
}

func (f finding) group() string { return f.Case[:strings.Index(f.Case, ".")] }

func (e end) judge(t *testing.T, found []finding) {
	for _, f := range found {
		may := slices.ContainsFunc(e.declined, func(p string) bool { return strings.HasPrefix(f.Case, p) })
		switch o := f.outcome(); {
		case o == failed:
			t.Errorf("%s: %s, %s after %d ms: %q", f.Case, f.Behavior, f.Close, f.Millis, f.Why)
		case o == passed && f.Behavior != "OK":
			t.Logf("%s: %s", f.Case, f.Behavior)
		case (o == declined) != may:
			t.Errorf("%s: %s", f.Case, o)
		}
	}
}

// groups are the suite's, in its order.
var groups = []struct{ number, name string }{
	{"1", "framing"},
	{"2", "pings and pongs"},
	{"3", "reserved bits"},
	{"4", "opcodes"},
	{"5", "fragments"},
	{"6", "UTF-8"},
	{"7", "closing"},
	{"9", "limits and speed"},
	{"10", "fragments of one size"},
	{"12", "compression, payloads"},
	{"13", "compression, parameters"},
}

// conformance is a table of the outcomes of each group, and of all.
func conformance(found [][]finding) string {
	var b strings.Builder
	b.WriteString("| group |")
	for _, e := range ends {
		fmt.Fprintf(&b, " %s: cases | passed | refused | declined |", e.name)
	}
	fmt.Fprintf(&b, "\n|---|%s\n", strings.Repeat("--:|", 4*len(ends)))
	for _, g := range groups {
		fmt.Fprintf(&b, "| %s %s |%s\n", g.number, g.name, counts(found, func(f finding) bool { return f.group() == g.number }))
	}
	fmt.Fprintf(&b, "| all |%s\n", counts(found, func(finding) bool { return true }))
	return b.String()
}

func counts(found [][]finding, of func(finding) bool) string {
	var b strings.Builder
	for _, end := range found {
		n := map[string]int{}
		cases := 0
		for _, f := range end {
			if of(f) {
				cases++
				n[f.outcome()]++
			}
		}
		fmt.Fprintf(&b, " %d | %d | %d | %d |", cases, n[passed], n[refused], n[declined])
	}
	return b.String()
}

// A suite is kosoku's, with the cases of Autobahn's.
type suite struct {
	cmd  *exec.Cmd
	said *json.Decoder
}

// startSuite runs it as the client or the server of ours. The 216 cases of
// compression take minutes with 1,000 messages each, which COMETD_LONG sends.
func startSuite(t *testing.T, end string, more ...string) *suite {
	messages := "50"
	if os.Getenv("COMETD_LONG") != "" {
		messages = "1000"
	}
	argv := append([]string{"python/conformance.py", end, messages}, more...)
	cmd := exec.CommandContext(t.Context(), "python/.venv/bin/python", argv...)
	cmd.Dir = "peers"
	cmd.Stderr = t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that panics leaves none behind
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start(), "run interop/install")
	return &suite{cmd, json.NewDecoder(out)}
}

// findings waits for the end of the suite.
func (s *suite) findings(t *testing.T) (all []finding) {
	for {
		var f finding
		err := s.said.Decode(&f)
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		all = append(all, f)
	}
	require.NoError(t, s.cmd.Wait())
	assert.NotEmpty(t, all)
	return all
}
