package transport_test

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// Two ends of one Conn: what is sent into one is received from the other.
func ExampleConn() {
	a, b := memory.Pipe()
	a.Send(&transport.Payload{Messages: [][]byte{[]byte(`{"channel":"/a"}`), []byte(`{"channel":"/b"}`)}})
	a.Close(transport.GoingAway)

	r, _ := b.Receive()
	text, _ := io.ReadAll(r)
	fmt.Printf("%s\n", text)
	_, err := b.Receive()
	fmt.Println(err)
	// Output:
	// [{"channel":"/a"},{"channel":"/b"}]
	// transport: websocket receive: the server is going away
}

func ExampleError() {
	var err error = &transport.Error{Type: "long-polling", Op: "receive", Status: 401, RetryAfter: time.Second}
	fmt.Println(err)
	fmt.Println(errors.Is(err, transport.ErrUnauthorized))
	// Output:
	// transport: long-polling receive: 401 Unauthorized, retry after 1s
	// true
}

func ExampleReason() {
	r := transport.TooLarge
	fmt.Println(r, r.Status(), r.CloseCode(), r.Final())
	// Output: too_large 413 1009 false
}
