package server

import "github.com/gocometd/cometd/internal/lock"

// browsers counts the connects held per browser, where there is a limit: over
// HTTP/1 one browser opens few connections to a host, and two tabs that both
// hold one would leave none for anything else (docs/protocol.md §11).
type browsers struct {
	mu   lock.Mutex[lock.Browsers]
	held map[string]int
}

// take counts one more, unless there are limit already.
func (b *browsers) take(browser string, limit int) bool {
	if browser == "" {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if exceeds(b.held[browser]+1, limit) {
		return false
	}
	if b.held == nil {
		b.held = map[string]int{}
	}
	b.held[browser]++
	return true
}

func (b *browsers) give(browser string) {
	if browser == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held[browser]--; b.held[browser] <= 0 {
		delete(b.held, browser)
	}
}
