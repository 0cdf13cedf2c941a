//go:build !js

package replay_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

// Environment variables that make this test binary another program, which goes
// on until it is killed: one that saves positions to a file, or one that handles
// what a server sends and keeps its position there.
const (
	savingTo     = "COMETD_TEST_POSITIONS"
	handlingFrom = "COMETD_TEST_SERVER"
	over         = "COMETD_TEST_TRANSPORT"
)

func TestMain(m *testing.M) {
	path, url := os.Getenv(savingTo), os.Getenv(handlingFrom)
	switch {
	case url != "":
		handleForEver(url, path)
	case path != "":
		saveForEver(path)
	}
	verify(m)
}

func saveForEver(path string) {
	s, err := replay.File(path)
	if err != nil {
		panic(err)
	}
	last, _, _ := s.Load(context.Background(), "/a")
	for id := last + 1; ; id++ {
		if err := s.Save(context.Background(), "/a", id); err != nil {
			panic(err)
		}
		fmt.Println(id)
	}
}

// handleForEver takes a byte from its input for each message and prints the number
// in it; then the message is handled.
func handleForEver(url, path string) {
	positions, err := replay.File(path)
	if err != nil {
		panic(err)
	}
	var d transport.Dialer = wsclient.NewDialer()
	if os.Getenv(over) != d.Type() {
		d = longpoll.NewDialer()
	}
	c, err := cometd.New(url, client.WithTransports(d), client.WithExtension(replay.Client(replay.Config{Store: positions, First: replay.All})))
	if err != nil {
		panic(err)
	}
	_, err = c.SubscribeFunc(context.Background(), "/a", client.Typed(func(_ context.Context, v struct{ N int }) error {
		if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
			return err
		}
		fmt.Println(v.N)
		return nil
	}))
	if err != nil {
		panic(err)
	}
	<-c.Done()
}

// A victim is such a program.
type victim struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

func newVictim(t *testing.T, environ ...string) *victim {
	cmd := exec.Command(os.Args[0], "-test.run=none")
	cmd.Env, cmd.Stderr = append(os.Environ(), environ...), os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() }) // if the test has failed
	return &victim{cmd, in, bufio.NewScanner(out)}
}

// until kills the program once it has printed enough numbers, and returns all
// that it has printed. The program may be two messages ahead.
func (v *victim) until(t *testing.T, enough func(printed []int) bool) (printed []int) {
	io.WriteString(v.in, "..")
	for killed := false; v.lines.Scan(); {
		n, err := strconv.Atoi(v.lines.Text())
		require.NoError(t, err)
		printed = append(printed, n)
		switch {
		case killed:
		case enough(printed):
			require.NoError(t, v.cmd.Process.Kill())
			killed = true
		default:
			io.WriteString(v.in, ".")
		}
	}
	v.in.Close()
	v.cmd.Wait()
	return printed
}

// A program is killed at any moment: what Save has returned for is there.
func TestKilledProgramsLoseNoPosition(t *testing.T) {
	path := filepath.Join(t.TempDir(), "positions.json")
	for range 5 {
		some := 1 + rand.IntN(20)
		printed := newVictim(t, savingTo+"="+path).until(t, func(printed []int) bool { return len(printed) == some })
		require.GreaterOrEqual(t, len(printed), some)
		told := printed[len(printed)-1]
		s, err := replay.File(path)
		require.NoError(t, err)
		id, _, err := s.Load(t.Context(), "/a")
		require.NoError(t, err)
		assert.GreaterOrEqual(t, int(id), told)
		assert.LessOrEqual(t, int(id), told+1, "saved, and not told yet")
	}
}

// A program that handles messages is killed in the midst of many, and started
// again until it has handled all: none is missing, and each time at most the one
// comes again that was under way.
func TestAKilledProgramMissesNoMessage(t *testing.T) {
	const all = 400
	for _, transport := range []string{bayeux.WebSocket, bayeux.LongPolling} {
		t.Run(transport, func(t *testing.T) {
			h, err := replayserver.New(replayserver.NewMemory(replayserver.Rule{Pattern: "/**"}))
			require.NoError(t, err)
			srv, err := cometd.NewServer(h, server.WithLimits(server.Limits{FrameMessages: 30}))
			require.NoError(t, err)
			defer srv.Close()
			hs := httptest.NewServer(srv)
			defer hs.Close()
			for n := range all {
				require.NoError(t, srv.Publish(t.Context(), "/a", map[string]int{"N": n}))
			}
			path := filepath.Join(t.TempDir(), "positions.json")
			last, kills, repeats := -1, 0, 0
			for ; last < all-1; kills++ {
				some := 1 + rand.IntN(100)
				v := newVictim(t, handlingFrom+"="+hs.URL+"/cometd", savingTo+"="+path, over+"="+transport)
				printed := v.until(t, func(printed []int) bool { return len(printed) == some || printed[len(printed)-1] == all-1 })
				require.NotEmpty(t, printed)
				if printed[0] == last {
					printed = printed[1:]
					repeats++
				}
				for _, n := range printed {
					require.Equal(t, last+1, n)
					last = n
				}
			}
			t.Logf("%d kills, %d messages came again", kills, repeats)
			require.Greater(t, kills, 2)
		})
	}
}
