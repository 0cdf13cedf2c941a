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
	if os.Getenv("HOSTILE_SERVE") != "" {
		serve()
		return
	}
	goleak.VerifyTestMain(m)
}
