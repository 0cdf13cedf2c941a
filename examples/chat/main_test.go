package main

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gocometd/cometd/cometdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTwoChat(t *testing.T) {
	srv := cometdtest.NewHTTPServer(t)
	adaIn, toAda := io.Pipe()
	fromAda, adaOut := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(t.Context(), srv.URL, "/chat/lobby", "ada", adaIn, adaOut)
		adaOut.Close()
	}()
	srv.AwaitSubscriber("/chat/lobby")

	require.NoError(t, run(t.Context(), srv.URL, "/chat/lobby", "bob", strings.NewReader("hello\n"), io.Discard))
	heard := bufio.NewScanner(fromAda)
	for heard.Scan() && heard.Text() != "bob: hello" {
	}
	assert.Equal(t, "bob: hello", heard.Text())
	go io.Copy(io.Discard, fromAda)
	toAda.Close() // the end of her input
	require.NoError(t, <-ended)
}
