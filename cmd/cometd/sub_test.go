package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
)

// What a message says never moves a terminal's cursor, names its window or turns
// its text around, and is the same JSON all the same.
func TestLinesAreShownAsTheyAre(t *testing.T) {
	for text, want := range map[string]string{
		"Žofie 👩\u200d🚀":              "Žofie 👩\u200d🚀",
		"\u009b2J":                    `\u009b2J`,
		"\u009d0;title\u009c":         `\u009d0;title\u009c`,
		"\u202egnirts":                `\u202egnirts`,
		"a\u2028b":                    `a\u2028b`,
		"\u007f":                      `\u007f`,
		"\U000e0041":                  `\udb40\udc41`,
		"\x1b[2J":                     `\u001b[2J`,
		strings.Repeat("\u2066", 300): strings.Repeat(`\u2066`, 300),
	} {
		m := &bayeux.Message{Channel: "/a/" + text, Data: json.RawMessage(`"` + text + `"`)}
		if text[0] == '\x1b' { // no JSON has it raw
			m.Data = json.RawMessage(`"\u001b[2J"`)
		}
		var out bytes.Buffer
		lines := json.NewEncoder(lineWriter{&out})
		lines.SetEscapeHTML(false)
		require.NoError(t, lines.Encode(lineOf(m, false)))
		assert.Equal(t, `{"channel":"/a/`+want+`","data":"`+want+"\"}\n", out.String())
		var back line
		require.NoError(t, json.Unmarshal(out.Bytes(), &back))
		assert.Equal(t, m.Channel, back.Channel)
		var said string
		require.NoError(t, json.Unmarshal(back.Data, &said))
		assert.Equal(t, text, said)
		assert.Equal(t, want, plain(text))
	}
}

// A pipe can be opened anew, so that a write to it can have a deadline; a socket
// cannot.
func TestASignalEndsSubThoughNobodyReads(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no signals")
	}
	for name, open := range map[string]func(*testing.T) (r io.ReadCloser, w *os.File){
		"a pipe": func(t *testing.T) (io.ReadCloser, *os.File) {
			r, w, err := os.Pipe()
			require.NoError(t, err)
			return r, w
		},
		"a socket": func(t *testing.T) (io.ReadCloser, *os.File) {
			ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
			require.NoError(t, err)
			defer ln.Close()
			r, err := net.Dial("unix", ln.Addr().String())
			require.NoError(t, err)
			w, err := ln.Accept()
			require.NoError(t, err)
			defer w.Close()
			require.NoError(t, w.(*net.UnixConn).SetWriteBuffer(16<<10))
			file, err := w.(*net.UnixConn).File()
			require.NoError(t, err)
			return r, file
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, err := cometd.NewServer()
			require.NoError(t, err)
			hs := httptest.NewServer(srv)
			defer hs.Close()
			defer srv.Close()
			r, w := open(t)
			defer r.Close()
			var stderr bytes.Buffer
			cmd := exec.Command("cometd", "sub", hs.URL, "/a")
			cmd.Stdout, cmd.Stderr = w, &stderr
			require.NoError(t, cmd.Start())
			w.Close()
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			defer func() {
				_ = cmd.Process.Kill() // it should have ended long ago
			}()
			require.Eventually(t, func() bool { return srv.SubscriberCount("/a") > 0 }, patience, time.Millisecond)
			require.NoError(t, srv.Publish(t.Context(), "/a", strings.Repeat("x", 200_000))) // more than it holds
			_, err = r.Read(make([]byte, 1))
			require.NoError(t, err)
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatal("it does not end")
			}
			assert.Equal(t, exitFailed, cmd.ProcessState.ExitCode())
			assert.Contains(t, stderr.String(), "stdout has not taken within 1s")
		})
	}
}
