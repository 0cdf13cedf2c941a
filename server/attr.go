package server

import "github.com/gocometd/cometd/internal/lock"

// An Attr is a typed value that the application keeps with sessions or
// channels. Two Attrs of one name are two values.
type Attr[T any] struct{ name string }

// NewAttr makes an attribute; make it once, in a package variable. The name
// is for people.
func NewAttr[T any](name string) *Attr[T] { return &Attr[T]{name} }

// String returns the name.
func (a *Attr[T]) String() string { return a.name }

// Get returns the value that s keeps for a, and whether there is one. Any
// goroutine may call it.
func (a *Attr[T]) Get(s Attributed) (v T, ok bool) {
	v, ok = s.attributes().load(a).(T)
	return v, ok
}

// Set keeps v with s. Any goroutine may call it.
func (a *Attr[T]) Set(s Attributed, v T) { s.attributes().store(a, v) }

// Delete forgets what s keeps for a.
func (a *Attr[T]) Delete(s Attributed) { s.attributes().delete(a) }

// Attributed is what can keep attributes: a [*Session] or a [*Channel].
type Attributed interface{ attributes() *attributes }

// attributes is a small map, nil until the first value.
type attributes struct {
	mu lock.RWMutex[lock.Attributes]
	m  map[any]any
}

func (a *attributes) load(key any) any {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.m[key]
}

func (a *attributes) store(key, v any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.m == nil {
		a.m = map[any]any{}
	}
	a.m[key] = v
}

func (a *attributes) delete(key any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.m, key)
}
