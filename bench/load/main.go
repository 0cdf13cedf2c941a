//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

// settings are the flags.
type settings struct {
	url, proto, work, name  string
	collect                 string
	pid, cpu                int
	n, channels, window     int
	payload, batch          int
	conc, total, inflight   int
	rate                    float64
	warm, dur, settle, hold time.Duration
	pathPerKind, sleep      bool
}

func (s *settings) register(f *flag.FlagSet) {
	f.StringVar(&s.url, "url", "ws://127.0.0.1:8080/cometd", "the server: ws:// and wss:// for WebSocket, http:// and https:// for long-polling")
	f.StringVar(&s.proto, "proto", "bayeux", "bayeux, centrifuge or hub")
	f.StringVar(&s.work, "work", "fanout", "fanout (with -channels and -rate too), idle or sessions")
	f.IntVar(&s.pid, "pid", 0, "the server's process, for CPU and RSS")
	f.IntVar(&s.cpu, "cpu", 0, "the core the server is pinned to, for core_us")
	f.IntVar(&s.n, "n", 1000, "subscriber sessions")
	f.IntVar(&s.channels, "channels", 1, "channels, each with a publisher session")
	f.IntVar(&s.window, "window", 16, "messages per channel that are published but not everywhere received")
	f.Float64Var(&s.rate, "rate", 0, "publishes per second over all channels; 0: as fast as the window allows")
	f.DurationVar(&s.warm, "warm", 2*time.Second, "warm-up before measuring")
	f.DurationVar(&s.dur, "dur", 5*time.Second, "measured time")
	f.IntVar(&s.payload, "payload", 128, fmt.Sprintf("bytes of the data of a message, at least %d", leastPayload))
	f.IntVar(&s.batch, "batch", 1, "messages per publish, in one array")
	f.IntVar(&s.conc, "conc", 50, "sessions: how many at once")
	f.IntVar(&s.total, "total", 5000, "sessions: how many in all")
	f.BoolVar(&s.pathPerKind, "append", false, "long-polling: a path per kind of message, /handshake, /connect, /disconnect, below the URL's")
	f.IntVar(&s.inflight, "inflight", 64, "connections that are being set up at once")
	f.StringVar(&s.name, "name", "", "a label in the output")
	f.DurationVar(&s.settle, "settle", 3*time.Second, "idle: wait before reading RSS")
	f.StringVar(&s.collect, "collect", "", "idle: ask this URL before reading RSS, such as http://127.0.0.1:6060/debug/pprof/heap?gc=1, so that the server collects garbage")
	f.DurationVar(&s.hold, "hold", 0, "idle: stay afterwards for a look at the server")
	f.BoolVar(&s.sleep, "sleep", false, "sleep in epoll_wait instead of spinning; then waking this client is part of the server's system time")
}

// check refuses what makes no sense, or would never end.
func (s *settings) check() error {
	for _, flag := range []struct {
		name      string
		is, least int
	}{
		{"-n", s.n, 1}, {"-channels", s.channels, 1}, {"-batch", s.batch, 1}, {"-payload", s.payload, leastPayload},
		{"-conc", s.conc, 1}, {"-total", s.total, 1}, {"-inflight", s.inflight, 1}, {"-pid", s.pid, 0}, {"-cpu", s.cpu, 0},
	} {
		if flag.is < flag.least {
			return fmt.Errorf("%s is %d, want %d or more", flag.name, flag.is, flag.least)
		}
	}
	switch {
	case s.work == "fanout" && s.n < s.channels:
		return fmt.Errorf("-n is %d, want one for each of the %d channels", s.n, s.channels)
	case s.rate == 0 && s.window < s.batch:
		return fmt.Errorf("-window is %d, want a -batch of %d to fit", s.window, s.batch)
	case s.work == "idle" && s.pid == 0:
		return errors.New("-pid is 0, want the server's process, whose memory is measured")
	case s.rate < 0:
		return fmt.Errorf("-rate is %v, want 0 or more", s.rate)
	case s.dur <= 0:
		return fmt.Errorf("-dur is %v, want more than 0", s.dur)
	case s.warm < 0 || s.settle < 0 || s.hold < 0:
		return fmt.Errorf("-warm, -settle and -hold are %v, %v and %v, want 0 or more", s.warm, s.settle, s.hold)
	}
	return nil
}

func main() {
	var s settings
	s.register(flag.CommandLine)
	flag.Parse()
	r, err := run(s)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// A report is what a run prints.
type report map[string]any

func run(s settings) (report, error) {
	l, err := newLoad(s)
	if err != nil {
		return nil, err
	}
	defer l.closeAll()
	var r report
	switch s.work {
	case "fanout":
		r, err = l.fanOut()
	case "idle":
		r, err = l.idle()
	case "sessions":
		r, err = l.sessions()
	default:
		err = fmt.Errorf("-work is %q, want fanout, idle or sessions", s.work)
	}
	if err != nil {
		return nil, err
	}
	r["name"], r["proto"] = s.name, s.proto
	return r, nil
}
