package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
)

// A breakage is why connections broke, and of how many clients.
type breakage struct {
	Clients int    `json:"clients"`
	Why     string `json:"why"`
}

// mostReasons is how many a report has: an error's text may be another each time.
const mostReasons = 5

// breakages counts connections that have broken, by why.
type breakages struct {
	mu sync.Mutex
	of map[string]int
}

// note is a client's hook of states.
func (b *breakages) note(now client.Change) {
	if now.From != bayeux.Connected || now.Err == nil {
		return
	}
	why := reasonOf(now.Err)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of == nil {
		b.of = map[string]int{}
	}
	b.of[why]++
}

// reasonOf is err without what differs between clients: addresses.
func reasonOf(err error) string {
	text := err.Error()
	if e, ok := errors.AsType[*url.Error](err); ok {
		text = strings.Replace(text, e.Error(), e.Err.Error(), 1)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		text = strings.Replace(text, e.Error(), e.Op+": "+e.Err.Error(), 1)
	}
	return text
}

// list has the most frequent ones first, and all beyond mostReasons as one.
func (b *breakages) list() []breakage {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []breakage
	for why, n := range b.of {
		all = append(all, breakage{n, why})
	}
	slices.SortFunc(all, func(a, b breakage) int {
		return cmp.Or(cmp.Compare(b.Clients, a.Clients), cmp.Compare(a.Why, b.Why))
	})
	if len(all) <= mostReasons {
		return all
	}
	rest := 0
	for _, x := range all[mostReasons:] {
		rest += x.Clients
	}
	return append(all[:mostReasons], breakage{rest, fmt.Sprintf("for %s more", counted(len(all)-mostReasons, "reason"))})
}
