// Driver: gobayeux, which only receives. One JSON object per line: commands on
// stdin, answers and messages on stdout, the log on stderr. It says nothing about
// a subscription that succeeded, so subscribe is answered when it has been asked
// for.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/sigmavirus24/gobayeux/v2"
)

type command struct {
	ID      int    `json:"id"`
	Op      string `json:"op"`
	Channel string `json:"channel"`
}

type answer struct {
	ID      int             `json:"id,omitempty"`
	Error   string          `json:"error,omitempty"`
	Channel string          `json:"channel,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func main() {
	client, err := gobayeux.NewClient(os.Args[1])
	if err != nil {
		panic(err)
	}
	received := make(chan []gobayeux.Message, 4096)
	go report(received)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			panic(err)
		}
		a := answer{ID: c.ID}
		switch c.Op {
		case "connect":
			go fail(client.Start(context.Background()))
		case "subscribe":
			client.Subscribe(gobayeux.Channel(c.Channel), received)
		case "disconnect":
			leaving.Store(true)
			if err := client.Disconnect(context.Background()); err != nil {
				a.Error = err.Error()
			}
			say(a)
			os.Exit(0) // what it has closed it goes on to use
		default:
			panic("unknown command " + c.Op)
		}
		say(a)
	}
}

func report(received <-chan []gobayeux.Message) {
	for messages := range received {
		for _, m := range messages {
			say(answer{Channel: string(m.Channel), Data: m.Data})
		}
	}
}

// leaving is set before a disconnect is asked for. That ends the connect, which
// gobayeux takes for an error, and may say before it has the disconnect's answer.
var leaving atomic.Bool

func fail(errors <-chan error) {
	for err := range errors {
		if !leaving.Load() {
			say(answer{Error: err.Error()})
		}
	}
}

var out sync.Mutex

func say(a answer) {
	line, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	out.Lock()
	defer out.Unlock()
	fmt.Println(string(line))
}
