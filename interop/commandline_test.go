//go:build interop

package interop

import (
	"bufio"
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What cometd pub sends, cometd sub prints, through every server and transport.
func TestCommandLine(t *testing.T) {
	for _, of := range []serverMake{ourServer, javaServer, fayeServer} {
		t.Run(strings.ReplaceAll(of.name, " ", "_"), func(t *testing.T) {
			s := of.serve(t.Output())
			require.NoError(t, s.Start())
			defer s.End(syscall.SIGKILL)
			for _, transport := range of.transports {
				t.Run(transport, func(t *testing.T) { subAndPub(t, s.URL(), transport) })
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
