package hostile_test

// connsPerAddr is how many connections the attackers' address has: those over the
// limit are let in to be refused (Server.ConnState).
var connsPerAddr = stated.ConnsPerAddr * 9 / 8

// A load is what peers make a server hold, at most.
type load struct {
	conns         int // sockets, and what has not become one
	reading       int // of them have sent more than has been read
	requests      int // connections that post or poll
	payloads      int // being read, decoded and answered, each as large as may be
	sessions      int // with little in their headers
	subscriptions int
	channels      int
	queued        int // bytes
}

func (l load) and(m load) load {
	return load{
		l.conns + m.conns, l.reading + m.reading, l.requests + m.requests, l.payloads + m.payloads, l.sessions + m.sessions,
		l.subscriptions + m.subscriptions, l.channels + m.channels, l.queued + m.queued,
	}
}

// within is what of l the limits let in.
func (l load) within() load {
	l.conns = min(l.conns, connsPerAddr)
	l.reading = min(l.reading, connsPerAddr)
	l.requests = min(l.requests, connsPerAddr)
	l.sessions = min(l.sessions, stated.SessionsPerAddr)
	l.subscriptions = min(l.subscriptions, stated.SessionsPerAddr*stated.Subscriptions)
	l.channels = min(l.channels, stated.Channels)
	l.queued = min(l.queued, stated.ServerBytes)
	return l
}

// bytes is the memory that docs/operating.md says it takes; who waits to be read
// has a buffer for that. A session's first subscription costs more than the others,
// and is in what a session takes.
func (l load) bytes() int {
	return l.conns*(13<<10) + l.reading*(16<<10) + l.requests*(40<<10) + l.payloads*(4*stated.MessageBytes+192<<10) +
		l.sessions*(3<<10) + l.subscriptions*160 + l.channels<<10 + l.queued
}

// ceiling is the most memory of a process that had so much before: Go lets it
// grow to twice what is held before it collects, and what it has collected waits
// to be given back.
func (l load) ceiling(before uint64) uint64 { return before + 2*uint64(l.bytes()) + 16<<20 }
