package hostile_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/internal/fault"
	"github.com/gocometd/cometd/server"
)

// A server whose process gets a kill -9 and is started again, again and again,
// behind connections that are cut: each time all its clients come back by
// themselves, what they hear is in order, and what they miss is told.
func TestClientsOfAKilledServerComeBackInOrder(t *testing.T) {
	seed := seeded(t)
	w := newChamber(t, seed, true)
	w.lost.keeps = preyKeeps
	p := spawn(t)
	w.open(p.addr, fault.Random(seed, 64<<10, fault.Cut, fault.Stall, fault.Delay))
	w.fill(int(number("TORTURE_CLIENTS", 16)))
	w.publish(4)
	kills, slowest := 0, time.Duration(0)
	for begin := time.Now(); time.Since(begin) < tortured(1) || kills < 2; kills++ {
		time.Sleep(time.Duration(rand.New(rand.NewPCG(seed, uint64(kills))).Int64N(int64(time.Second))))
		p.kill()
		w.lost.killed()
		killed := time.Now()
		p = spawn(t)
		w.retarget(p.addr)
		w.allHear()
		slowest = max(slowest, time.Since(killed))
		w.lost.settle(w)
	}
	w.calm()
	w.allHear()
	t.Logf("%d kills; all heard everybody again within %v", kills, slowest.Round(time.Millisecond))
	w.silence()
	w.hearLast()
	w.empty()
}

// preyKeeps is how long a prey keeps a session: none ends but by a kill.
const preyKeeps = time.Minute

// A prey is a server in a process of its own that is to be killed.
type prey struct {
	t    *testing.T
	cmd  *exec.Cmd
	addr string
	said journal // its log at level Error, and whatever else it has on stderr
}

func spawn(t *testing.T) *prey {
	cmd := start(t, "HOSTILE_SERVER", []string{"HOSTILE_PREY=1"})
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	p := &prey{t: t, cmd: cmd}
	cmd.Stderr = &p.said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		p.kill()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	p.addr = strings.TrimSpace(line)
	return p
}

// kill kills with SIGKILL, once. Until then nothing may have failed.
func (p *prey) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
	assert.Empty(p.t, p.said.String(), "the server has failed")
}

// bePrey is the process of a prey. It ends with its input.
func bePrey() {
	failures := slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})
	srv, err := cometd.NewServer(spartan(preyKeeps), server.WithLogger(slog.New(failures)))
	if err != nil {
		panic(err)
	}
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	hs := &http.Server{Handler: srv, ReadHeaderTimeout: time.Second} // and what it recovers from is for panics
	go hs.Serve(ln)
	fmt.Println(ln.Addr())
	io.Copy(io.Discard, os.Stdin)
}
