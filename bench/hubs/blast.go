package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"strings"
)

// A blast speaks as much Bayeux as a client needs to subscribe, and then sends it
// events as fast as the connection takes them: frames that are ready before the
// first is sent, so that it costs a client's peer next to nothing.
type blast struct {
	conn     net.Conn
	messages int // in a frame
	heard    bool
	done     chan struct{}
}

// The events of blastFrames frames have numbers that count up from 0; then they
// start again. Each says how many there are, so that a loss is seen there too.
const blastFrames = 64

// A request is what a blast looks at of what a client says.
type request struct {
	Channel      string          `json:"channel"`
	ID           string          `json:"id"`
	Subscription json.RawMessage `json:"subscription"`
}

func (b *blast) talk(in *bufio.Reader) error {
	defer func() {
		b.conn.Close()
		if b.done != nil {
			<-b.done
		}
	}()
	for {
		payload, err := readText(in)
		if err != nil {
			return err
		}
		if len(payload) == 0 { // a ping; what the client gets all the time is its answer
			continue
		}
		var requests []request
		if err := json.Unmarshal(payload, &requests); err != nil {
			return err
		}
		for _, r := range requests {
			if err := b.answer(r); err != nil {
				return err
			}
		}
	}
}

// answer replies, save to a connect that is to be held: nothing lets go of it.
func (b *blast) answer(r request) error {
	more := ""
	switch r.Channel {
	case "/meta/handshake":
		more = `,"version":"1.0","supportedConnectionTypes":["websocket"],"clientId":"blast","advice":{"reconnect":"retry","interval":0,"timeout":600000}`
	case "/meta/connect":
		if b.heard {
			return nil
		}
		b.heard = true
	case "/meta/subscribe":
		more = `,"subscription":` + string(r.Subscription)
	}
	_, err := b.conn.Write(appendFrame(nil, fmt.Appendf(nil, `[{"channel":%q,"id":%q,"successful":true%s}]`, r.Channel, r.ID, more)))
	if err != nil || r.Channel != "/meta/subscribe" || b.done != nil {
		return err
	}
	var channel string
	if err := json.Unmarshal([]byte(strings.Trim(string(r.Subscription), "[]")), &channel); err != nil {
		return err
	}
	b.done = make(chan struct{})
	go b.fire(channel)
	return nil
}

// fire sends until the connection ends.
func (b *blast) fire(channel string) {
	defer close(b.done)
	frames := make([][]byte, blastFrames)
	for i := range frames {
		frames[i] = blastFrame(channel, i*b.messages, b.messages, len(frames)*b.messages)
	}
	for i := 0; ; i = (i + 1) % len(frames) {
		if _, err := b.conn.Write(frames[i]); err != nil {
			return
		}
	}
}

// blastFrame has events with 128 bytes of data each, numbered from first.
func blastFrame(channel string, first, messages, total int) []byte {
	const dataSize = 128
	text := []byte("[")
	for i := range messages {
		if i > 0 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, `{"channel":%q,"data":`, channel)
		head := fmt.Sprintf(`{"n":"%010d","of":"%010d","text":"`, first+i, total)
		text = append(text, head+strings.Repeat("x", dataSize-len(head)-2)+`"}}`...)
	}
	return appendFrame(nil, append(text, ']'))
}
