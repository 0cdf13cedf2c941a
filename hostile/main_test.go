package hostile_test

import (
	"io"
	"log"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // net/http's client tells there of each answer that nobody asked for
	goleak.VerifyTestMain(tabled{m})
}

// tabled prints the table of what was measured after all tests.
type tabled struct{ *testing.M }

func (m tabled) Run() int {
	defer table(os.Stdout)
	return m.M.Run()
}
