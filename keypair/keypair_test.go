package keypair_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gocometd/cometd/keypair"
)

func TestABrokenPairDoesNotStart(t *testing.T) {
	_, err := keypair.Open("nowhere.pem", "nowhere.pem", slog.New(slog.DiscardHandler))
	assert.Error(t, err)
}
