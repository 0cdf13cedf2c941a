package trial

import (
	"fmt"
	"regexp"
	"slices"
	"time"
)

// A Workload is a load to put on servers, and the figure that it is about.
type Workload struct {
	Name        string
	Flags       []string // of bench/load, or of bench/consume
	Client      bool     // it is the client that is measured, by bench/consume
	InFrame     int      // messages in a frame of those that are ready for a client
	Polling     bool     // over long-polling
	Secure      bool     // over TLS
	Collect     bool     // the server collects garbage before it is looked at, if it can be asked to
	Figure      string   // its key in the load's output
	Unit        string
	Beside      []string // other keys to show
	Goal        float64  // of Figure, which may be less, or more if more is better; 0: none
	GoalRatio   float64  // of Figure to the floor's; 0: none
	BesideRatio float64  // of the first of Beside to the floor's; 0: none
	Slow        bool     // it is run only when asked for by name
	FloorIsLess bool     // the floor does less than the work, so a ratio says little
}

// Workloads are those of docs/performance.md, each measured for dur.
func Workloads(dur time.Duration) []Workload {
	d := dur.String()
	fanOut := []string{"msgs_frame", "frame_us", "user_us", "p99_us"}
	return []Workload{
		{Name: "fan-out, window 16", Flags: []string{"-n=1000", "-dur=" + d}, Figure: "cpu_us", Unit: "µs", Beside: fanOut, Goal: 0.6},
		{Name: "fan-out, window 1", Flags: []string{"-n=1000", "-window=1", "-dur=" + d}, Figure: "cpu_us", Unit: "µs", Beside: fanOut, Goal: 6.5},
		{Name: "100 channels × 10", Flags: []string{"-n=1000", "-channels=100", "-dur=" + d}, Figure: "cpu_us", Unit: "µs", Beside: fanOut, Goal: 0.9},
		{Name: "10,000 deliveries/s", Flags: []string{"-n=1000", "-channels=10", "-rate=100", "-dur=" + (dur * 8 / 5).String()}, Figure: "cpu_us", Unit: "µs",
			Beside: []string{"p99_us", "p50_us", "user_us"}, Goal: 11, BesideRatio: 1.1},
		{Name: "a message alone", Flags: []string{"-n=1", "-rate=100", "-dur=" + d}, Figure: "p50_us", Unit: "µs", Beside: []string{"p99_us", "cpu_us"}},
		{Name: "fan-out over TLS", Flags: []string{"-n=1000", "-dur=" + d}, Secure: true, Figure: "cpu_us", Unit: "µs", Beside: fanOut, GoalRatio: 2},
		{Name: "sessions", Flags: []string{"-work=sessions", "-total=20000"}, Figure: "cpu_us", Unit: "µs", Beside: []string{"user_us", "sessions_s"}, Goal: 105, FloorIsLess: true},
		{Name: "idle", Flags: []string{"-work=idle", "-n=10000"}, Figure: "kib_session", Unit: "KiB", Beside: []string{"setup_us"}, Goal: 14, FloorIsLess: true},
		{Name: "idle, after a GC", Flags: []string{"-work=idle", "-n=10000", "-settle=5s"}, Collect: true, Figure: "kib_session", Unit: "KiB", Goal: 12, FloorIsLess: true},
		scale(d, 1, 10), scale(d, 1, 100), scale(d, 1, 1000), scale(d, 1, 10_000),
		scale(d, 10, 100), scale(d, 100, 10), scale(d, 1000, 1),
		scale(d, 10, 10), scale(d, 1000, 10),
		{Name: "long-polling, batch 10", Flags: []string{"-n=200", "-batch=10", "-window=40", "-dur=" + d}, Polling: true, Figure: "cpu_us", Unit: "µs",
			Beside: fanOut, Goal: 2.5},
	}
}

// scale is so many channels with so many subscribers each, window 16: a point of
// Curves.
func scale(dur string, channels, each int) Workload {
	return Workload{Name: scaleName(channels, each), Flags: []string{fmt.Sprintf("-n=%d", channels*each), fmt.Sprintf("-channels=%d", channels), "-dur=" + dur},
		Figure: "cpu_us", Unit: "µs", Beside: []string{"msgs_frame", "frame_us", "user_us"}, Slow: true}
}

func scaleName(channels, each int) string {
	return fmt.Sprintf("scale, %d × %d", channels, each)
}

// ClientWorkloads are the client's goals, each measured for dur.
func ClientWorkloads(dur time.Duration) []Workload {
	beside := []string{"cpu_us", "user_us"}
	receive := func(name, work string, inFrame int) Workload {
		return Workload{Name: fmt.Sprintf("%s, %d in a frame", name, inFrame), Flags: []string{"-work=" + work, "-dur=" + dur.String()},
			Client: true, InFrame: inFrame, Figure: "msgs_s", Unit: "1/s", Beside: beside, Goal: 1_000_000}
	}
	return []Workload{
		receive("receive", "receive", 64),
		receive("receive", "receive", 8),
		receive("receive into a struct", "decode", 64),
		{Name: "publish, acknowledged", Flags: []string{"-work=publish", "-dur=" + dur.String()},
			Client: true, Figure: "msgs_s", Unit: "1/s", Beside: beside, Goal: 100_000},
	}
}

// OnCores shows beside a cost how many cores the server kept busy and how much it
// did then: with several, that they are used is another thing than that it is low.
func OnCores(all []Workload) []Workload {
	for i := range all {
		w := &all[i]
		if w.Figure != "cpu_us" {
			continue
		}
		w.Beside = append(slices.Clone(w.Beside), "busy")
		if !slices.Contains(w.Beside, "sessions_s") {
			w.Beside = append(w.Beside, "msgs_s")
		}
	}
	return all
}

// program is what puts the load on a server.
func (w Workload) program(p *Programs) string {
	if w.Client {
		return p.consume
	}
	return p.load
}

// Matching are the workloads whose name matches; without a pattern, all that
// are not slow.
func Matching(all []Workload, pattern string) ([]Workload, error) {
	names, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	var some []Workload
	for _, w := range all {
		if names.MatchString(w.Name) && (pattern != "" || !w.Slow) {
			some = append(some, w)
		}
	}
	return some, nil
}

func (w Workload) url(s Server, addr string) string {
	scheme := "ws"
	if w.Polling {
		scheme = "http"
	}
	if w.Secure {
		scheme += "s" // wss, https
	}
	return scheme + "://" + addr + s.Path
}
