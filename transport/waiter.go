package transport

// A Waiter is a Conn of which something may go on for a moment after Close: the
// close frame takes its time, and a socket that is closed with unread bytes is
// reset under the peer's eyes. A server waits for it, so that nothing is left
// when the server has closed.
type Waiter interface {
	// Wait closes the Conn, if nobody has, and returns when nothing of it runs
	// any more. Whoever received from the Conn calls it, when done.
	Wait()
}
