package transport

// A Refuser is a Conn that can tell the peer in words why it is closed: in the
// body of an HTTP answer, in the close frame of a WebSocket (which has room for
// 123 bytes). The words name what was wrong and the limit it broke.
type Refuser interface {
	// Refuse is Close with a text. Where nothing can be told it is Close.
	Refuse(r Reason, text string) error
}
