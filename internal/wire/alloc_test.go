//go:build !js && !race && !lockcheck

package wire

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSendAllocatesNothing(t *testing.T) {
	for _, client := range []bool{false, true} {
		s, peer := overTCP(t, Config{Client: client})
		ended := make(chan struct{})
		go func() { defer close(ended); io.Copy(io.Discard, struct{ io.Reader }{peer}) }()
		body := Body(say(strings.Repeat("x", 200)))
		assert.Less(t, testing.AllocsPerRun(200, func() {
			if err := s.Send(body); err != nil {
				panic(err)
			}
		}), 1.0)
		s.Close()
		<-ended
	}
}
