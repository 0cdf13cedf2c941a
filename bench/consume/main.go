//go:build unix

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/client"
)

// settings are the flags.
type settings struct {
	url, work, name, profile string
	pid, window              int
	warm, dur                time.Duration
}

func main() {
	var s settings
	flag.StringVar(&s.url, "url", "ws://127.0.0.1:9010/", "the server")
	flag.StringVar(&s.work, "work", "receive", "receive, decode or publish")
	flag.StringVar(&s.name, "name", "", "a label in the output")
	flag.StringVar(&s.profile, "profile", "", "write a CPU profile to this file")
	flag.IntVar(&s.pid, "pid", 0, "the server's process; not looked at")
	flag.IntVar(&s.window, "window", 512, "publish: how many are under way at once")
	flag.DurationVar(&s.warm, "warm", time.Second, "warm-up before measuring")
	flag.DurationVar(&s.dur, "dur", 5*time.Second, "measured time")
	flag.Parse()
	r, err := run(s)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "consume:", err)
		os.Exit(1)
	}
}

// A report is what a run prints.
type report map[string]any

func run(s settings) (report, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := cometd.Dial(ctx, s.url)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var w work
	switch s.work {
	case "receive":
		w, err = newReceive(ctx, c, false)
	case "decode":
		w, err = newReceive(ctx, c, true)
	case "publish":
		w = newPublish(c, s.window)
	default:
		err = fmt.Errorf("-work is %q, want receive, decode or publish", s.work)
	}
	if err != nil {
		return nil, err
	}
	r, err := measure(s, c, w)
	if err != nil {
		return nil, err
	}
	return r, w.end()
}

// A work is under way from when it is made until its end.
type work interface {
	count() int64 // messages so far
	faults() (lost, disorder int64)
	end() error
}

// measure looks at w for a while.
func measure(s settings, c *client.Client, w work) (report, error) {
	time.Sleep(s.warm)
	if s.profile != "" {
		f, err := os.Create(s.profile)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, err
		}
		defer pprof.StopCPUProfile()
	}
	before, user, system, began := w.count(), int64(0), int64(0), time.Now()
	user0, system0 := usage()
	time.Sleep(s.dur)
	wall, messages := time.Since(began), float64(w.count()-before)
	user, system = usage()
	if messages == 0 {
		return nil, cmp.Or(w.end(), fmt.Errorf("no messages in %v", wall))
	}
	lost, disorder := w.faults()
	user, system = user-user0, system-system0
	return report{
		"name": s.name, "work": s.work, "messages": messages, "msgs_s": math.Round(messages / wall.Seconds()), "wall_s": round(wall.Seconds()),
		"cpu_us": round(float64(user+system) / messages), "user_us": round(float64(user) / messages), "sys_us": round(float64(system) / messages),
		"loss": lost, "disorder": disorder, "reconnects": c.Stats().Reconnects,
	}, nil
}

// usage is the CPU time of this process, in µs.
func usage() (user, system int64) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0, 0
	}
	return u.Utime.Nano() / 1000, u.Stime.Nano() / 1000
}

func round(f float64) float64 { return math.Round(f*1000) / 1000 }
