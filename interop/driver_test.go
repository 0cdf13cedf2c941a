//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// A driver is a peer that is a program, or a page, at the other end of a pipe.
type driver struct {
	inbox
	tell     func(line []byte) error // hands one command over
	stop     func()
	oneByOne bool         // publishes must wait for one another to keep their order
	loaded   func() error // of a page: waits until it takes commands

	mu      sync.Mutex
	id      int
	waiting map[int]chan answer
	ended   error // why no answer will ever come
}

// An answer is one line from a driver: the outcome of a command, or a message.
type answer struct {
	ID      int             `json:"id"`
	Error   string          `json:"error"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
}

type command struct {
	ID      int             `json:"id"`
	Op      string          `json:"op"`
	Channel string          `json:"channel,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func newDriver() *driver {
	return &driver{inbox: make(inbox, inboxSize), waiting: map[int]chan answer{}}
}

// startDriver runs a driver program. Its log goes to log.
func startDriver(log io.Writer, argv ...string) (*driver, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "peers"
	cmd.Stderr = log
	cmd.WaitDelay = time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("interop: %w (run interop/install)", err)
	}
	d := newDriver()
	d.tell = func(line []byte) error { _, err := in.Write(append(line, '\n')); return err }
	var reader sync.WaitGroup
	reader.Go(func() { d.end(d.read(out)) })
	d.stop = func() {
		in.Close() // every driver ends at the end of its commands
		kill := time.AfterFunc(3*time.Second, func() { cmd.Process.Kill() })
		reader.Wait()
		cmd.Wait()
		kill.Stop()
	}
	return d, nil
}

func (d *driver) read(out io.Reader) error {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("interop: the driver has ended: %w", err)
		}
		d.hear(line)
	}
}

// hear takes one line from the driver. An answer that nobody waits for is one
// of several to the same command, as a client gives that tries again by itself.
func (d *driver) hear(line []byte) {
	var a answer
	if err := json.Unmarshal(bytes.TrimSpace(line), &a); err != nil {
		a.Error = fmt.Sprintf("interop: the driver said %q: %v", line, err)
	}
	switch {
	case a.ID != 0:
		d.mu.Lock()
		defer d.mu.Unlock()
		if w, ok := d.waiting[a.ID]; ok {
			w <- a
			delete(d.waiting, a.ID)
		}
	case a.Error != "":
		d.end(errors.New(a.Error))
	default:
		d.inbox <- message{a.Channel, a.Data}
	}
}

// end fails all that is waiting, and all that comes.
func (d *driver) end(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = cmp.Or(d.ended, err)
	for id, w := range d.waiting {
		w <- answer{Error: d.ended.Error()}
		delete(d.waiting, id)
	}
}

// send gives a command and returns where its answer will be.
func (d *driver) send(c command) (<-chan answer, error) {
	d.mu.Lock()
	if d.ended != nil {
		defer d.mu.Unlock()
		return nil, d.ended
	}
	d.id++
	c.ID = d.id
	w := make(chan answer, 1)
	d.waiting[c.ID] = w
	d.mu.Unlock()

	line, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return w, d.tell(line)
}

func (d *driver) do(ctx context.Context, c command) (json.RawMessage, error) {
	w, err := d.send(c)
	if err != nil {
		return nil, err
	}
	return await(ctx, c, w)
}

func await(ctx context.Context, c command, w <-chan answer) (json.RawMessage, error) {
	select {
	case a := <-w:
		if a.Error != "" {
			return nil, fmt.Errorf("interop: %s %s: %.1000s", c.Op, c.Channel, a.Error)
		}
		return a.Data, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("interop: %s %s: no answer: %w", c.Op, c.Channel, context.Cause(ctx))
	}
}

func (d *driver) Connect(ctx context.Context) error {
	_, err := d.do(ctx, command{Op: "connect"})
	return err
}

func (d *driver) Subscribe(ctx context.Context, channel string) error {
	_, err := d.do(ctx, command{Op: "subscribe", Channel: channel})
	return err
}

func (d *driver) Unsubscribe(ctx context.Context, channel string) error {
	_, err := d.do(ctx, command{Op: "unsubscribe", Channel: channel})
	return err
}

func (d *driver) Publish(ctx context.Context, channel string, data ...json.RawMessage) error {
	var answers []<-chan answer
	c := command{Op: "publish", Channel: channel}
	for _, c.Data = range data {
		w, err := d.send(c)
		if err != nil {
			return err
		}
		if d.oneByOne {
			if _, err := await(ctx, c, w); err != nil {
				return err
			}
			continue
		}
		answers = append(answers, w)
	}
	for _, w := range answers {
		if _, err := await(ctx, c, w); err != nil {
			return err
		}
	}
	return nil
}

func (d *driver) Call(ctx context.Context, channel string, data json.RawMessage) (json.RawMessage, error) {
	return d.do(ctx, command{Op: "call", Channel: channel, Data: data})
}

func (d *driver) Disconnect(ctx context.Context) error {
	_, err := d.do(ctx, command{Op: "disconnect"})
	return err
}

func (d *driver) Close() { d.stop() }
