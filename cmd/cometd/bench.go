package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

type benchCmd struct {
	connection

	Clients    int           `default:"100" placeholder:"N" help:"Subscribers, spread over the channels. Default: ${default}."`
	Publishers int           `default:"1" placeholder:"N" help:"Clients that publish, spread over the channels. Default: ${default}."`
	Channels   int           `default:"1" placeholder:"N" help:"Channels. Default: ${default}."`
	Rate       float64       `placeholder:"N" help:"Publishes per second, in all. Default: as many as --window lets."`
	Window     int           `default:"16" placeholder:"N" help:"Without --rate: how many messages of a publisher on a channel may be under way to a subscriber, on average. Default: ${default}."`
	Size       int           `default:"128" placeholder:"BYTES" help:"Data of a message, in bytes. Default: ${default}."`
	Duration   time.Duration `default:"10s" help:"How long to measure. Default: ${default}."`
	WarmUp     time.Duration `default:"1s" help:"How long to publish before that. Default: ${default}."`
	Prefix     string        `default:"/bench" placeholder:"CHANNEL" help:"Where the channels are: CHANNEL/RUN/0, CHANNEL/RUN/1 and so on, RUN being new each time. Default: ${default}."`
	Stalled    int           `placeholder:"N" help:"Subscribers more that never read, in every second run; the runs between are the control."`
	Rounds     int           `default:"1" placeholder:"N" help:"Do all of it N times. Default: ${default}."`
	JSON       bool          `name:"json" help:"Print one JSON object per run instead of text and drawing."`
	SVG        string        `name:"svg" placeholder:"FILE" help:"Draw latency by percentile into this file."`
}

func (b *benchCmd) Help() string {
	return `It publishes, receives, and says what arrived, how fast, and whether all of it and in order; a message
that was lost, repeated or out of order makes exit status 1. Latency counts from when a message was due, also if
it was sent late, to when a subscriber's handler has it. SIGINT ends the measuring; what there is is printed.

Every client is this module's own, as a program would use it, and in one process: from some 200,000 deliveries a
second on (look at the process) it is the clients that are measured. What a delivery costs the server is told by
bench/load, which decodes nothing. A server may have limits that stand in the way of many clients from one
address: cometd serve has --max-per-address.`
}

// AfterApply refuses numbers that make no sense.
func (b *benchCmd) AfterApply() error {
	for flag, n := range map[string]int{"--clients": b.Clients, "--publishers": b.Publishers, "--channels": b.Channels, "--window": b.Window, "--rounds": b.Rounds} {
		if n < 1 {
			return fmt.Errorf("%s is %d, want 1 or more", flag, n)
		}
	}
	switch {
	case b.Clients < b.Channels:
		return fmt.Errorf("--clients is %d, want one for each of the %d channels", b.Clients, b.Channels)
	case b.Rate < 0:
		return fmt.Errorf("--rate is %v, want 0 or more", b.Rate)
	case b.Stalled < 0:
		return fmt.Errorf("--stalled is %d, want 0 or more", b.Stalled)
	case b.Size < leastSize || b.Size > 1<<20:
		return fmt.Errorf("--size is %d, want %d to %d", b.Size, leastSize, 1<<20)
	case b.Duration <= 0:
		return fmt.Errorf("--duration is %v, want more than 0", b.Duration)
	case b.WarmUp < 0:
		return fmt.Errorf("--warm-up is %v, want 0 or more", b.WarmUp)
	}
	return nil
}

func (b *benchCmd) Run(ctx context.Context, tty console) error {
	if err := checkChannel(b.Prefix); err != nil {
		return err
	}
	var done []*benchReport
	var failed error
	for _, stalled := range b.runs() {
		r, err := b.measure(ctx, tty, stalled)
		if err != nil {
			return cmp.Or(endedBySignal(ctx, err), failed)
		}
		if err := b.print(tty, r); err != nil {
			return err
		}
		done = append(done, r)
		failed = cmp.Or(failed, r.failure())
		if ctx.Err() != nil {
			break
		}
	}
	if b.SVG != "" {
		if err := os.WriteFile(b.SVG, drawLatency(done), 0o666); err != nil {
			return errors.Join(failed, err)
		}
	}
	return failed
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

func (b *benchCmd) print(tty console, r *benchReport) error {
	if b.JSON {
		return json.NewEncoder(tty.out).Encode(r)
	}
	_, err := tty.out.Write(r.text())
	return err
}
