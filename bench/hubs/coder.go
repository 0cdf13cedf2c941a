package main

import (
	"context"
	"net/http"
	"net/url"

	"github.com/coder/websocket"
)

type coderSubscriber struct{ conn *websocket.Conn }

// send has a context that cannot be cancelled, which is the cheapest.
func (c *coderSubscriber) send(m message) {
	_ = c.conn.Write(context.Background(), websocket.MessageText, m.payload)
}

func (h *hub) acceptCoder(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return // Accept has answered
	}
	query := r.URL.Query()
	go h.converse(conn, query) // its own goroutine, so that net/http lets go of the request
}

func (h *hub) converse(conn *websocket.Conn, query url.Values) {
	defer conn.CloseNow()
	ch, publishes := h.join(query)
	if !publishes {
		s, stop := wrap(&coderSubscriber{conn}, h.opt)
		ch.add(s)
		defer stop()
		defer ch.remove(s)
	}
	for {
		_, payload, err := conn.Read(context.Background())
		if err != nil {
			return
		}
		if publishes {
			ch.publish(payload)
		}
	}
}
