package longpoll

import (
	"io"
	"net/http"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

// refusal is the error that an answer other than 200 stands for. It reads
// little of the body, which may be a page of any size from any proxy.
func refusal(resp *http.Response) *transport.Error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	return &transport.Error{
		Type:       bayeux.LongPolling,
		Op:         "receive",
		Status:     resp.StatusCode,
		Reason:     transport.StatusReason(resp.StatusCode),
		RetryAfter: transport.RetryAfter(resp.Header.Get("Retry-After"), time.Now()),
		Location:   resp.Header.Get("Location"),
		Detail:     transport.Detail(string(text)),
	}
}
