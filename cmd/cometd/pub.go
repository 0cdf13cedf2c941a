package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/once"
)

const (
	inFlight = 256      // publishes that wait for their answers while stdin is read on
	maxLine  = 16 << 20 // bytes of one line on stdin
)

type pubCmd struct {
	connection

	Attempts int `default:"1" placeholder:"N" help:"Send a message whose connection broke before its answer again, N times in all. A server with the once extension takes it once, another may take it twice. Default: ${default}."`

	Channel string `arg:"" help:"The channel, such as /chat/lobby."`
	JSON    string `arg:"" name:"json" help:"What to publish, as JSON; or - for one JSON value per line on stdin."`
}

func (p *pubCmd) Help() string {
	return `It ends with status 0 only after the server has accepted every message. Lines of stdin, of
16 MiB at most, are sent without waiting for each answer, in their order; a refusal stops it.
What begins with a hyphen comes after two of them: cometd pub URL /a -- -5`
}

// AfterApply refuses a number of attempts that publishes nothing.
func (p *pubCmd) AfterApply() error {
	if p.Attempts < 1 {
		return fmt.Errorf("--attempts is %d, want 1 or more", p.Attempts)
	}
	return p.connection.AfterApply()
}

func (p *pubCmd) Run(ctx context.Context, tty console) error {
	switch ch, err := parseChannel(p.Channel); {
	case err != nil:
		return badUsage("CHANNEL: %w", err)
	case ch.IsWild():
		return badUsage("CHANNEL has a wildcard, which only sub can use: %s", ch)
	}
	source := tty.in
	if p.JSON != "-" {
		if err := checkJSON("JSON", []byte(p.JSON)); err != nil {
			return err
		}
		source = nil
	}
	c, err := p.dial(ctx, tty, p.retry()...)
	if err != nil {
		return err
	}
	defer c.Close()
	if source != nil {
		return p.publishLines(ctx, c, source)
	}
	return p.publish(ctx, c, []byte(p.JSON))
}

// retry sends with each message a key, by which the server knows it again.
func (p *pubCmd) retry() []client.Option {
	if p.Attempts == 1 {
		return nil
	}
	return []client.Option{client.WithPublishRetry(p.Attempts, 0), client.WithExtension(once.Client())}
}

func (p *pubCmd) publish(ctx context.Context, c *client.Client, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, p.Wait)
	defer cancel()
	if err := c.Publish(ctx, p.Channel, json.RawMessage(data)); err != nil {
		return p.refused(p.unanswered("the publish to "+p.shown(), err))
	}
	return nil
}

// refused says on which channel, unless err does.
func (p *pubCmd) refused(err error) error {
	if e, ok := errors.AsType[*bayeux.Error](err); ok && e.Channel != "" || strings.Contains(err.Error(), p.shown()) {
		return err
	}
	return fmt.Errorf("%s: %w", p.shown(), err)
}

// shown is the channel as a terminal may have it.
func (p *pubCmd) shown() string {
	if q := strconv.Quote(p.Channel); q != `"`+p.Channel+`"` {
		return q
	}
	return p.Channel
}

// publishLines publishes each line of r without waiting for the answer to the
// one before. It returns nil once all of r is accepted, and stops at the first
// failure.
func (p *pubCmd) publishLines(ctx context.Context, c *client.Client, r io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer, inFlight)
	var sending error
	go func() {
		defer close(answers)
		sending = p.send(ctx, c, readLines(ctx, r), answers)
	}()
	var failed error
	for a := range answers {
		if failed == nil {
			failed = p.await(ctx, a)
		}
		if failed != nil {
			cancel() // and go on, until the sender has seen it
		}
	}
	return cmp.Or(failed, sending)
}

// An answer is what the server will say about one line.
type answer struct {
	line  int
	taken chan error
}

func (p *pubCmd) send(ctx context.Context, c *client.Client, lines <-chan textLine, answers chan<- answer) error {
	for {
		select {
		case l, more := <-lines:
			if !more || l.err != nil {
				return l.err
			}
			if err := checkJSON(fmt.Sprintf("line %d of stdin", l.number), l.text); err != nil {
				return err
			}
			a := answer{l.number, make(chan error, 1)}
			if err := c.PublishFunc(p.Channel, json.RawMessage(l.text), func(err error) { a.taken <- err }); err != nil {
				a.taken <- err
			}
			answers <- a
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *pubCmd) await(ctx context.Context, a answer) error {
	patience := time.NewTimer(p.Wait)
	defer patience.Stop()
	select {
	case err := <-a.taken:
		if err != nil {
			return fmt.Errorf("line %d of stdin: %w", a.line, p.refused(err))
		}
		return nil
	case <-patience.C:
		return fmt.Errorf("line %d of stdin: %s: no answer within %v", a.line, p.shown(), p.Wait)
	case <-ctx.Done():
		return fmt.Errorf("line %d of stdin: %s: interrupted before the answer", a.line, p.shown())
	}
}

// A textLine is a line of stdin that is not blank, or why there are no more.
type textLine struct {
	number int
	text   []byte
	err    error
}

// readLines reads r in a goroutine of its own: nothing can interrupt a read of
// a terminal, so it is left behind when ctx ends, and ends with the process.
func readLines(ctx context.Context, r io.Reader) <-chan textLine {
	lines := make(chan textLine)
	put := func(l textLine) bool {
		select {
		case lines <- l:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		defer close(lines)
		scan := bufio.NewScanner(r)
		scan.Buffer(nil, maxLine)
		number := 1
		for ; scan.Scan(); number++ {
			text := bytes.TrimSpace(scan.Bytes())
			if len(text) > 0 && !put(textLine{number: number, text: bytes.Clone(text)}) {
				return
			}
		}
		err := scan.Err()
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("longer than %d MiB, the most that a line may have", maxLine>>20)
		}
		if err != nil {
			put(textLine{err: fmt.Errorf("line %d of stdin: %w", number, err)})
		}
	}()
	return lines
}

// checkJSON says where in the text that place names the JSON goes wrong.
func checkJSON(place string, text []byte) error {
	var v json.RawMessage
	err := json.Unmarshal(text, &v)
	if err == nil {
		return checkUTF8(place, text)
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return badUsage("%s is not JSON at byte %d: %w: %s", place, syntax.Offset, err, excerpt(text, syntax.Offset))
	}
	return badUsage("%s is not JSON: %w", place, err)
}

// checkUTF8 finds what package json lets pass within strings.
func checkUTF8(place string, text []byte) error {
	for at := 0; at < len(text); {
		r, n := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && n == 1 {
			return badUsage("%s is not JSON at byte %d: no UTF-8: %s", place, at+1, excerpt(text, int64(at)))
		}
		at += n
	}
	return nil
}

// excerpt is the text around an offset, quoted and short.
func excerpt(text []byte, at int64) string {
	const around = 20
	from, to := max(0, int(at)-around), min(len(text), int(at)+around)
	return strconv.Quote(string(text[from:to]))
}
