package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gocometd/cometd/server"
)

// A line that cannot be published is named, with why; what is no JSON is bad usage.
func TestPubSaysWhatIsWrongWithALine(t *testing.T) {
	a := newTarget(t, server.Limits{})
	for name, c := range map[string]struct {
		stdin  io.Reader
		status int
		says   string
	}{
		"no UTF-8": {strings.NewReader("\"\ufffd\"\n\"a\xff\""), exitUsage, "line 2 of stdin is not JSON at byte 3: no UTF-8: "},
		"too long": {io.LimitReader(spaces{}, 17<<20), exitFailed, "line 1 of stdin: longer than 16 MiB, the most that a line may have\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			assert.Equal(t, c.status, run(t.Context(), []string{"pub", a.direct, "/a", "-"}, console{in: c.stdin, err: &stderr}))
			assert.True(t, strings.HasPrefix(stderr.String(), "cometd: "+c.says), stderr.String())
		})
	}
	assert.ErrorContains(t, checkJSON("JSON", []byte("\xff")), "at byte 1")
}

// spaces has no end.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
