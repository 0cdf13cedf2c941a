package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/alecthomas/kong"

	"github.com/gocometd/cometd/bayeux"
)

const (
	mostPerSecond  = 1_000_000 // publishes: more than one process can make
	leastPerSecond = 1.0 / 3600

	// usualWindow is how many messages are under way to a subscriber, or fewer where
	// they are more than usualBytes: four times as much ends a session of cometd serve,
	// and a window is only kept on average.
	usualWindow = 16
	usualBytes  = 256 << 10
)

type benchCmd struct {
	connection

	Clients    int `default:"100" placeholder:"N" help:"Subscribers, spread over the channels. Default: ${default}."`
	Publishers int `default:"1" placeholder:"N" help:"Clients that publish, spread over the channels. Default: ${default}."`
	Channels   int `default:"1" placeholder:"N" help:"Channels. Default: ${default}."`
	Window     int `placeholder:"N" help:"Without --rate: how many messages of a publisher on a channel may be under way to a subscriber, on average. Default: 16, or fewer that are 256 KiB for a subscriber in all."`
	benchLoad
	WarmUp  time.Duration `default:"1s" help:"How long to publish before that. Default: ${default}."`
	Prefix  string        `default:"/bench" placeholder:"CHANNEL" help:"Where the channels are: CHANNEL/RUN/0, CHANNEL/RUN/1 and so on, RUN being new each time. Default: ${default}."`
	Stalled int           `placeholder:"N" help:"Additional subscribers that never read, in every second run; the runs between are the control. In the end both are compared."`
	PID     int           `name:"pid" placeholder:"PID" help:"The server's process, if it runs on this machine: its memory is told too. Linux only."`
	JSON    bool          `name:"json" help:"Print one JSON object per run instead of text and drawing, and with --stalled a last one that compares."`
	SVG     string        `name:"svg" placeholder:"FILE" help:"Draw latency by percentile into this file; of runs that a signal cut short or in which nothing arrived only if there are no others."`
}

// benchLoad is what depends on what is to be seen, unless it is given.
type benchLoad struct {
	Rate     float64       `placeholder:"N" help:"Publishes per second, in all. Default: as many as --window lets; with --stalled 10."`
	Size     int           `placeholder:"BYTES" help:"Data of a message, in bytes, from 96 to 1048576. Default: 128, with --stalled 16384."`
	Duration time.Duration `help:"How long to measure. Default: 10s, with --stalled 14s."`
	Rounds   int           `placeholder:"N" help:"Do all of it N times. Default: 1, with --stalled 5."`
}

var (
	usualLoad = benchLoad{Size: 128, Duration: 10 * time.Second, Rounds: 1}

	// stallingLoad fills in eight or nine seconds what a server usually holds for
	// somebody who does not read, in its kernel and in a queue of 1 MiB, and leaves
	// two cores time with 1000 subscribers. It ends soon after that, for a server
	// may know only for as long why a session is no more.
	stallingLoad = benchLoad{Rate: 10, Size: 16 << 10, Duration: 14 * time.Second, Rounds: 5}
)

func (b *benchCmd) Help() string {
	return `It publishes, receives, and says what arrived, how fast, and whether all of it and in order; a message
that was lost, repeated or out of order makes exit status 1. Latency counts from when a message was due, also if
it was sent late, to when a subscriber's handler has it. SIGINT ends the measuring; what there is is printed.
Published and delivered are the messages that were due while it measured, and deliveries per second count until the
last of them has arrived; faults are told of the warm-up too. For repeats it stays a moment longer: four times the
p99, from 200ms to a second.

Every client is this module's own, as a program would use it, and in one process: from some 200,000 deliveries a
second on (look at the process) it is the clients that are measured. What a delivery costs the server is told by
bench/load, which decodes nothing. A server may have limits that stand in the way: of many clients from one
address, of large messages, of what waits for a subscriber that falls behind. cometd serve has --max-per-address,
--max-message and --max-queue. What broke connections is told; the first publish that is refused ends the run.

With --stalled the end is a table: the p99 of the others in the runs with and without, whether it is worse by more
than the runs without differ, the server's memory, and what has become of those who did not read. A server that
cannot tell them why, because nothing more goes into their sockets, is asked when they come back: cometd serve
knows for ten seconds, and has it in its log. Numbers of a run that a signal cut short, or in which nothing arrived,
are not compared.`
}

// AfterApply fills in what was not given, and refuses numbers that make no
// sense.
func (b *benchCmd) AfterApply(k *kong.Context) error {
	b.fillIn(k.Flags())
	if err := b.connection.AfterApply(); err != nil {
		return err
	}
	for _, flag := range []struct {
		name string
		n    int
	}{{"--clients", b.Clients}, {"--publishers", b.Publishers}, {"--channels", b.Channels}, {"--window", b.Window}, {"--rounds", b.Rounds}} {
		if flag.n < 1 {
			return fmt.Errorf("%s is %d, want 1 or more", flag.name, flag.n)
		}
	}
	switch {
	case b.Clients < b.Channels:
		return fmt.Errorf("--clients is %d, want one for each of the %d channels", b.Clients, b.Channels)
	case b.Rate != 0 && !(b.Rate >= leastPerSecond && b.Rate <= mostPerSecond): // which is true of NaN
		return fmt.Errorf("--rate is %v, want 0, or from one message an hour (%.4f) to %d", b.Rate, leastPerSecond, mostPerSecond)
	case b.Stalled < 0:
		return fmt.Errorf("--stalled is %d, want 0 or more", b.Stalled)
	case b.Stalled > 0 && b.Transport == "long-polling":
		return errors.New("--stalled is for a WebSocket: who does not poll asks for nothing")
	case b.Size < leastSize || b.Size > 1<<20:
		return fmt.Errorf("--size is %d, want %d to %d", b.Size, leastSize, 1<<20)
	case b.PID < 0:
		return fmt.Errorf("--pid is %d, want a process", b.PID)
	case b.Duration <= 0:
		return fmt.Errorf("--duration is %v, want more than 0", b.Duration)
	case b.WarmUp < 0:
		return fmt.Errorf("--warm-up is %v, want 0 or more", b.WarmUp)
	}
	switch c, err := parseChannel(b.Prefix + "/0"); {
	case err != nil:
		return fmt.Errorf("--prefix is %q, of which no channel can be made: %w", b.Prefix, err)
	case c.Kind() == bayeux.Service:
		return fmt.Errorf("--prefix is %q: what is published to a service channel reaches no subscriber", b.Prefix)
	}
	if b.PID > 0 {
		if _, err := resident(b.PID); err != nil {
			return fmt.Errorf("--pid is %d, whose memory cannot be read: %w", b.PID, err)
		}
	}
	return nil
}

// fillIn sets of the load what was not given.
func (b *benchCmd) fillIn(flags []*kong.Flag) {
	usual := usualLoad
	if b.Stalled > 0 {
		usual = stallingLoad
	}
	for _, f := range flags {
		if f.Set {
			continue
		}
		switch f.Name {
		case "rate":
			b.Rate = usual.Rate
		case "size":
			b.Size = usual.Size
		case "duration":
			b.Duration = usual.Duration
		case "rounds":
			b.Rounds = usual.Rounds
		}
	}
	if !slices.ContainsFunc(flags, func(f *kong.Flag) bool { return f.Name == "window" && f.Set }) {
		b.Window = usualWindowOf(b.Size, b.streamsPerChannel())
	}
}

// usualWindowOf is for messages of that size, of so many streams to a subscriber.
func usualWindowOf(size, streams int) int {
	return min(max(usualBytes/max(size*streams, 1), 1), usualWindow)
}

// streamsPerChannel is how many publishers the channel with the most has.
func (b *benchCmd) streamsPerChannel() int {
	channels := max(b.Channels, 1)
	return (max(b.Publishers, channels) + channels - 1) / channels
}

func (b *benchCmd) Run(ctx context.Context, tty console) error {
	picture, err := openPicture(b.SVG)
	if err != nil {
		return err
	}
	defer picture.close()
	var done []*benchReport
	var failed error
	runs := b.runs()
	for i, stalled := range runs {
		r, err := b.measure(ctx, tty, stalled, fmt.Sprintf("run %d of %d: ", i+1, len(runs)))
		if r != nil {
			if err := b.print(tty, r); err != nil {
				return err
			}
		}
		if err != nil {
			failed = cmp.Or(endedBySignal(ctx, err), failed)
			break // what was measured before is compared
		}
		done = append(done, r)
		failed = cmp.Or(failed, r.failure())
		if ctx.Err() != nil {
			break
		}
	}
	if c, ok := compare(done); ok && b.Stalled > 0 {
		if err := b.print(tty, c); err != nil {
			return err
		}
	}
	return errors.Join(failed, picture.draw(done))
}

// runs has for each run how many stalled subscribers it has.
func (b *benchCmd) runs() (stalled []int) {
	for range b.Rounds {
		stalled = append(stalled, 0)
		if b.Stalled > 0 {
			stalled = append(stalled, b.Stalled)
		}
	}
	return stalled
}

// A finding is for people as text, and for programs as JSON.
type finding interface{ text() []byte }

func (b *benchCmd) print(tty console, r finding) error {
	if b.JSON {
		return json.NewEncoder(tty.out).Encode(r)
	}
	_, err := tty.out.Write(r.text())
	return err
}
