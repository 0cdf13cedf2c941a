package bayeux

// Meta channels (docs/protocol.md §3).
const (
	MetaHandshake   = "/meta/handshake"
	MetaConnect     = "/meta/connect"
	MetaDisconnect  = "/meta/disconnect"
	MetaSubscribe   = "/meta/subscribe"
	MetaUnsubscribe = "/meta/unsubscribe"
)

// Connection types, as they stand in supportedConnectionTypes and
// connectionType (docs/protocol.md §7). Peers may name others.
const (
	WebSocket       = "websocket"
	LongPolling     = "long-polling"
	CallbackPolling = "callback-polling"
	InProcess       = "in-process"
	IFrame          = "iframe"
)

// Version is the protocol version this package speaks. It goes into both
// version fields of a handshake.
const Version = "1.0"
