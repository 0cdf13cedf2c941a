package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
)

// rawSubscriber is no library at all.
type rawSubscriber struct{ conn net.Conn }

func (r *rawSubscriber) send(m message) { _, _ = r.conn.Write(m.frame) }

func (h *hub) serveRaw(ln net.Listener) error {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			_ = h.talk(conn) // it ends, and so does the connection
		}()
	}
}

func (h *hub) talk(conn net.Conn) error {
	const little, much = 512, 8192 // a subscriber says little
	in := bufio.NewReaderSize(conn, little)
	r, err := http.ReadRequest(in)
	if err != nil {
		return err
	}
	hash := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
		base64.StdEncoding.EncodeToString(hash[:])+"\r\n\r\n")
	if err != nil {
		return err
	}
	if h.blast > 0 {
		return (&blast{conn: conn, messages: h.blast}).talk(in)
	}
	ch, publishes := h.join(r.URL.Query())
	if publishes {
		in = bufio.NewReaderSize(in, much)
	} else {
		s, stop := wrap(&rawSubscriber{conn}, h.opt)
		ch.add(s)
		defer stop()
		defer ch.remove(s)
	}
	for {
		payload, err := readText(in)
		if err != nil {
			return err
		}
		if publishes {
			ch.publish(payload)
		}
	}
}

var errClosed = errors.New("close frame")

// readText reads a client's text frame, unmasked, into memory of its own.
func readText(in *bufio.Reader) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(in, head[:2]); err != nil {
		return nil, err
	}
	if head[0]&0xf == 8 {
		return nil, errClosed
	}
	size := uint64(head[1] & 0x7f)
	if size >= 126 {
		extended := head[:2]
		if size == 127 {
			extended = head[:8]
		}
		if _, err := io.ReadFull(in, extended); err != nil {
			return nil, err
		}
		size = uint64(binary.BigEndian.Uint16(extended))
		if len(extended) == 8 {
			size = binary.BigEndian.Uint64(extended)
		}
	}
	mask := head[:4]
	if _, err := io.ReadFull(in, mask); err != nil {
		return nil, err
	}
	if size > 1<<20 {
		return nil, errors.New("a frame of more than 1 MiB")
	}
	payload := make([]byte, size)
	_, err := io.ReadFull(in, payload)
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return payload, err
}
