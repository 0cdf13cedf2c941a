//go:build !lockcheck

package server

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
)

// A delivery to one of many sessions costs what it misses in the caches.
func TestADeliveryTouchesTwoCacheLinesOfASession(t *testing.T) {
	const line = 64
	var s Session
	out := unsafe.Offsetof(s.out)
	for name, end := range map[string]uintptr{
		"phase":         unsafe.Offsetof(s.phase) + unsafe.Sizeof(s.phase),
		"urgent":        unsafe.Offsetof(s.urgent) + unsafe.Sizeof(s.urgent),
		"batching":      unsafe.Offsetof(s.batching) + unsafe.Sizeof(s.batching),
		"stream":        unsafe.Offsetof(s.stream) + unsafe.Sizeof(s.stream),
		"sender":        unsafe.Offsetof(s.sender) + unsafe.Sizeof(s.sender),
		"out.queue":     out + unsafe.Offsetof(s.out.queue) + unsafe.Sizeof(s.out.queue),
		"out.flying":    out + unsafe.Offsetof(s.out.flying) + unsafe.Sizeof(s.out.flying),
		"out.bytes":     out + unsafe.Offsetof(s.out.bytes) + unsafe.Sizeof(s.out.bytes),
		"out.onConnect": out + unsafe.Offsetof(s.out.onConnect) + unsafe.Sizeof(s.out.onConnect),
		"out.kept":      out + unsafe.Offsetof(s.out.kept) + unsafe.Sizeof(s.out.kept),
		"out.number":    out + unsafe.Offsetof(s.out.number) + unsafe.Sizeof(s.out.number),
	} {
		assert.LessOrEqual(t, end, uintptr(2*line), "the end of %s", name)
	}
	assert.LessOrEqual(t, unsafe.Sizeof(s), uintptr(768), "the next size of the runtime's is 896")
}
