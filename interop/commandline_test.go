//go:build interop

package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What cometd pub sends, cometd sub prints, through every server and transport.
func TestCommandLine(t *testing.T) { onEachServer(t, subAndPub) }

// What cometd bench publishes arrives once and in order, through every server and
// transport.
func TestCommandLineBench(t *testing.T) { onEachServer(t, bench) }

func onEachServer(t *testing.T, do func(t *testing.T, url, transport string)) {
	for _, of := range []serverMake{ourServer, javaServer, fayeServer} {
		t.Run(strings.ReplaceAll(of.name, " ", "_"), func(t *testing.T) {
			s := of.serve(t.Output())
			require.NoError(t, s.Start())
			defer s.End(syscall.SIGKILL)
			for _, transport := range of.transports {
				t.Run(transport, func(t *testing.T) { do(t, s.URL(), transport) })
			}
		})
	}
}

func subAndPub(t *testing.T, url, transport string) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	sub := exec.CommandContext(ctx, ourBinary, "sub", "--transport", transport, "--count", "1", url, "/interop/cli/*")
	var printed strings.Builder
	sub.Stdout = &printed
	said, err := sub.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, sub.Start())
	line, err := bufio.NewReader(said).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "subscribed /interop/cli/*\n", line)

	out, err := exec.CommandContext(ctx, ourBinary, "pub", "--transport", transport, url, "/interop/cli/x", `{"a":1}`).CombinedOutput()
	require.NoError(t, err, "cometd pub: %s", out)
	require.NoError(t, sub.Wait())
	assert.Contains(t, printed.String(), `"/interop/cli/x"`)
	assert.Contains(t, printed.String(), `{"a":1}`)
}

func bench(t *testing.T, url, transport string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const clients, channels = 6, 2
	out, err := exec.CommandContext(ctx, ourBinary, "bench", "--json", "--transport", transport, "--clients", fmt.Sprint(clients), "--channels", fmt.Sprint(channels),
		"--publishers", "2", "--rate", "200", "--warm-up", "200ms", "--duration", "1s", url).Output()
	require.NoError(t, err, "%s", out)
	var r struct {
		Transport                            string
		Published, Delivered, Lost, Repeated int64
		Disorder                             int64 `json:"out_of_order"`
	}
	require.NoError(t, json.Unmarshal(out, &r))
	assert.Equal(t, transport, r.Transport)
	assert.Positive(t, r.Published)
	assert.Equal(t, r.Published*clients/channels, r.Delivered)
	assert.Zero(t, r.Lost)
	assert.Zero(t, r.Repeated)
	assert.Zero(t, r.Disorder)
}
