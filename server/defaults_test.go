package server

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Programs are deployed with what the defaults are.
func TestTheDefaultsAreThese(t *testing.T) {
	assert.Equal(t, Limits{
		MessageBytes: 262_144, BatchMessages: 512, Depth: 64, DataDepth: 512, HeaderBytes: 8192,
		FrameBytes: 61_440, FrameMessages: -1, SessionBytes: 1_048_576, SessionMessages: -1, ServerBytes: 268_435_456, LatestBytes: 67_108_864,
		IDBytes: 64, Subscriptions: 1024, ChannelBytes: 256, ChannelSegments: 16,
		ChannelsCreated: 1000, Channels: 250_000, ChannelsPerAddr: 25_000,
		SessionsPerAddr: 2000, ConnsPerAddr: 1000, Sessions: 100_000, Conns: -1, Events: 512,
		HeldPerBrowser: 1, HeldPerBrowserHTTP2: -1,
		Header: 10 * time.Second, Handshake: 10 * time.Second, Body: 10 * time.Second, Write: 10 * time.Second,
		HandshakeRate: -1,
	}, Limits{}.withDefaults())
	assert.Equal(t, Timing{
		Timeout: 20 * time.Second, MaxInterval: 10 * time.Second, MaxPause: 2 * time.Minute,
		Lazy: 5 * time.Second, Sweep: time.Second, Multiple: 2 * time.Second,
	}, defaultTiming)
}

// Each field's comment says its default, and that is what it is.
func TestTheCommentOfEachLimitAndTimeSaysItsDefault(t *testing.T) {
	for name, defaults := range map[string]any{"Limits": Limits{}.withDefaults(), "Timing": defaultTiming} {
		said := defaultsSaid(t, name)
		v := reflect.ValueOf(defaults)
		for i := range v.NumField() {
			field := v.Type().Field(i).Name
			want := said[field]
			require.NotEmpty(t, want, "%s.%s says none", name, field)
			assert.Equal(t, want, spoken(v.Field(i).Interface(), want), "%s.%s", name, field)
		}
	}
}

// And the table of the README has those of the limits that it names.
func TestTheTableOfTheREADMEHasTheDefaults(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	_, table, _ := strings.Cut(string(text), "## Limits and defaults")
	table, _, _ = strings.Cut(table, "\n## ")
	numbers := ""
	for row := range strings.Lines(table) {
		if cells := strings.Split(row, "|"); len(cells) > 2 {
			numbers += "," + cells[2]
		}
	}
	has := func(want string) {
		assert.Regexp(t, `(^|[,;] *)`+regexp.QuoteMeta(want)+` *(,\D|,$|;|$|bytes|characters)`, numbers)
	}
	l := Limits{}.withDefaults()
	for _, n := range []int{l.BatchMessages, l.Depth, l.DataDepth, l.IDBytes, l.Subscriptions, l.ChannelsCreated, l.ChannelBytes, l.ChannelSegments, l.SessionsPerAddr, l.ConnsPerAddr} {
		has(strconv.Itoa(n))
	}
	for _, n := range []int{l.Channels, l.ChannelsPerAddr, l.Sessions} {
		has(spoken(n, ","))
	}
	for _, n := range []int{l.MessageBytes, l.HeaderBytes} {
		has(spoken(n, "KiB"))
	}
	for _, n := range []int{l.SessionBytes, l.ServerBytes} {
		has(spoken(n, "MiB"))
	}
	for _, d := range []time.Duration{l.Header, l.Handshake, l.Body, defaultTiming.Timeout, defaultTiming.MaxInterval} {
		has(strconv.Itoa(int(d.Seconds())) + " s")
	}
	has(strconv.Itoa(int(defaultTiming.MaxPause.Minutes())) + " min")
}

// defaultsSaid are what the comments in a struct call the defaults, in order where
// fields share one.
func defaultsSaid(t *testing.T, name string) map[string]string {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	said, number := map[string]string{}, regexp.MustCompile(`default (none|[0-9][0-9,.]*( [KM]iB|s|m)?)`)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name != name {
				return true
			}
			for _, f := range spec.Type.(*ast.StructType).Fields.List {
				found := number.FindAllStringSubmatch(f.Doc.Text()+f.Comment.Text(), -1)
				for i, id := range f.Names {
					if i < len(found) {
						said[id.Name] = strings.TrimRight(found[i][1], ".,")
					}
				}
			}
			return false
		})
	}
	return said
}

// spoken is v in the unit of what somebody says.
func spoken(v any, says string) string {
	switch v := v.(type) {
	case time.Duration:
		switch {
		case v == 0 && says == "none":
			return says
		case v == 0:
			return "0"
		}
		return strings.Replace(v.String(), "m0s", "m", 1)
	case float64:
		return spoken(int(v), says)
	}
	n := v.(int)
	switch {
	case n == none:
		return "none"
	case strings.HasSuffix(says, "KiB"):
		return strconv.Itoa(n>>10) + " KiB"
	case strings.HasSuffix(says, "MiB"):
		return strconv.Itoa(n>>20) + " MiB"
	case strings.Contains(says, ","):
		return strconv.Itoa(n/1000) + "," + strconv.Itoa(1000 + n%1000)[1:]
	}
	return strconv.Itoa(n)
}
