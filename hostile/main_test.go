package hostile_test

import (
	"bytes"
	"fmt"
	"log"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/gocometd/cometd/server"
)

// programs are what this test binary is too, with an environment variable.
var programs = map[string]func(){
	"HOSTILE_SERVE": serve,
	"HOSTILE_TARGET": func() {
		besiege(os.Getenv("HOSTILE_TARGET"), os.Getenv("HOSTILE_SECURE"), os.Getenv("HOSTILE_ASSAULT"))
	},
	"HOSTILE_PREY":      bePrey,
	"HOSTILE_SUSPENDED": listenUntilTheEnd,
}

func TestMain(m *testing.M) {
	log.SetOutput(&panics)
	for name, program := range programs {
		if os.Getenv(name) != "" {
			program()
			return
		}
	}
	goleak.VerifyTestMain(calm{m})
}

// panics takes what is logged without a journal: by net/http's clients, of each
// answer that nobody asked for, and by its servers, of panics that they recover.
var panics alarm

// alarming is the log of servers that nobody else looks at.
var alarming = server.WithLogger(slog.New(slog.NewTextHandler(&panics, nil)))

type alarm struct{ n atomic.Int64 }

func (a *alarm) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("panic")) {
		a.n.Add(1)
		os.Stderr.Write(p)
	}
	return len(p), nil
}

// calm fails tests in whose time somebody panicked.
type calm struct{ *testing.M }

func (c calm) Run() int {
	code := c.M.Run()
	if n := panics.n.Load(); n > 0 {
		fmt.Fprintf(os.Stderr, "FAIL: %d panics in the log\n", n)
		return max(code, 1)
	}
	return code
}
