package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/gocometd/cometd/internal/clock"
)

func TestNowGoesOnWithTimers(t *testing.T) {
	assert.Positive(t, clock.Now())
	synctest.Test(t, func(t *testing.T) {
		begun := clock.Now()
		assert.Positive(t, begun)
		time.Sleep(time.Hour)
		assert.Equal(t, time.Hour, clock.Now()-begun)
	})
}
