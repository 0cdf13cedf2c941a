//go:build !lockcheck

package lock_test

import (
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"

	"github.com/gocometd/cometd/internal/lock"
)

func TestLocksAreNoLargerThanThoseOfSync(t *testing.T) {
	assert.Equal(t, unsafe.Sizeof(sync.Mutex{}), unsafe.Sizeof(lock.Mutex[lock.Session]{}))
	assert.Equal(t, unsafe.Sizeof(sync.RWMutex{}), unsafe.Sizeof(lock.RWMutex[lock.Session]{}))
	assert.Equal(t, unsafe.Sizeof(sync.Mutex{}), unsafe.Sizeof(lock.Turn[lock.Processing]{}))
}
