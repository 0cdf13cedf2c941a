package fuzzing

import (
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hanging makes this test binary one whose test hangs.
const hanging = "COMETD_TEST_HANG"

// Nobody waits for it but the watch: the test's own time limit is off.
func TestWhatHangsEndsTheProcessAndSaysWhere(t *testing.T) {
	if os.Getenv(hanging) != "" {
		watch(t, time.Millisecond)
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestWhatHangsEndsTheProcessAndSaysWhere$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), hanging+"=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Contains(t, string(out), "has not come to its end")
	assert.Contains(t, string(out), "fuzzing_test.go", "the stack of what hangs")
}

// told counts the errors of a test.
type told struct {
	testing.TB
	errors int
}

func (t *told) Error(...any) { t.errors++ }

func TestALoggedErrorFailsTheTestAndNothingElseDoes(t *testing.T) {
	x := &told{TB: t}
	log := Log(x, "own")
	log.Warn("limit reached")
	log.Error("panic in a handler", slog.Any("panic", "own"))
	assert.Zero(t, x.errors)
	log.Error("panic in a handler", slog.Any("panic", "another"))
	log.With("session", 1).Error("reply cannot be encoded")
	assert.Equal(t, 2, x.errors)
}

func TestWhatAnHTTPServerSaysOfAPanicIsOne(t *testing.T) {
	log := ErrorLog()
	log.Print("http: TLS handshake error from 127.0.0.1: EOF")
	assert.Panics(t, func() { log.Print("http: panic serving 127.0.0.1:1: nil map") })
	assert.Panics(t, func() { log.Print("http: superfluous response.WriteHeader call") })
}
