package replay

import "github.com/gocometd/cometd/client"

// Remembering is Client, and how many channels the extension remembers.
func Remembering(c Config) (client.Extension, func() int) {
	x := newExtension(c)
	return x.functions(), func() int {
		x.mu.Lock()
		defer x.mu.Unlock()
		return len(x.keys) + len(x.numbers)
	}
}
