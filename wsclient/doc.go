// Package wsclient is the client end of the WebSocket transport: a Dialer whose
// Conns are streams of payloads, each in one text message (docs/protocol.md §8).
//
// cometd.Dial uses it already, with long-polling behind it. Name it to choose
// options:
//
//	ws := wsclient.NewDialer(wsclient.WithPing(10*time.Second, 5*time.Second))
//	c, err := client.New(url, client.WithTransports(ws, longpoll.NewDialer()))
//
// The upgrade goes through the client's *http.Client: its TLS settings, proxy
// and cookie jar are those of long-polling too, and cookies that come with the
// 101 are kept.
//
// # When there is no WebSocket
//
// An answer that is no 101, and no answer at all within the open timeout, is a
// *transport.Error that is ErrUnsupported: use the next transport now. Status,
// Location, RetryAfter and the beginning of the answer, its lines joined to one of
// some 200 bytes, are in it. A 401 is ErrUnauthorized instead, because another
// transport would get it as well. A 429, 502, 503 or 504 says that there is no
// server now, such as while it restarts behind a proxy: it is neither, and neither
// is a host that cannot be reached. Where one was reached that did not answer in
// time, Reason is Stalled.
//
// # In a browser
//
// With GOOS=js the browser opens the socket: it sends its own cookies and no
// headers, so a token goes in the handshake's ext; it answers pings and sends
// none; and it does not say why an upgrade failed, so every failure is
// ErrUnsupported. It reads on while nobody receives: over 64 MiB the Conn ends,
// with Overflow.
package wsclient
