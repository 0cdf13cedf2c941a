package hostile_test

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	log.SetOutput(&panics)
	switch {
	case os.Getenv("HOSTILE_SERVE") != "":
		serve()
	case os.Getenv("HOSTILE_TARGET") != "":
		besiege(os.Getenv("HOSTILE_TARGET"), os.Getenv("HOSTILE_ASSAULT"))
	default:
		goleak.VerifyTestMain(calm{m})
	}
}

// panics takes what is logged without a journal: by net/http's clients, of each
// answer that nobody asked for, and by its servers, of panics that they recover.
var panics alarm

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
