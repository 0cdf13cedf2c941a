package hostile_test

import (
	"io"
	"log"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// programs are what this test binary is too, with an environment variable.
var programs = map[string]func(){
	"HOSTILE_SERVE":     serve,
	"HOSTILE_PREY":      live,
	"HOSTILE_SUSPENDED": listenUntilTheEnd,
}

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // net/http's client tells there of each answer that nobody asked for
	for name, program := range programs {
		if os.Getenv(name) != "" {
			program()
			return
		}
	}
	goleak.VerifyTestMain(m)
}
