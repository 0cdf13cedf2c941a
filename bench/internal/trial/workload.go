package trial

import (
	"regexp"
	"time"
)

// A Workload is a load to put on servers, and the figure that it is about.
type Workload struct {
	Name        string
	Flags       []string // of bench/load
	Polling     bool     // over long-polling
	Secure      bool     // over TLS
	Figure      string   // its key in the load's output
	Unit        string
	Beside      []string // other keys to show
	Goal        float64  // of Figure; 0: none
	GoalRatio   float64  // of the first of Beside to the floor's; 0: none
	FloorIsLess bool     // the floor does less than the work, so a ratio says little
}

// Workloads are those of docs/performance.md, each measured for dur.
func Workloads(dur time.Duration) []Workload {
	d := dur.String()
	fanOut := []string{"msgs_frame", "user_us", "p99_us"}
	return []Workload{
		{Name: "fan-out, window 16", Flags: []string{"-n=1000", "-dur=" + d}, Figure: "cpu_us", Unit: "µs", Beside: fanOut, Goal: 0.6},
		{Name: "fan-out, window 1", Flags: []string{"-n=1000", "-window=1", "-dur=" + d}, Figure: "cpu_us", Unit: "µs", Beside: fanOut, Goal: 6.5},
		{Name: "100 channels × 10", Flags: []string{"-n=1000", "-channels=100", "-dur=" + d}, Figure: "cpu_us", Unit: "µs", Beside: fanOut, Goal: 0.9},
		{Name: "10,000 deliveries/s", Flags: []string{"-n=1000", "-channels=10", "-rate=100", "-dur=" + (dur * 8 / 5).String()}, Figure: "cpu_us", Unit: "µs",
			Beside: []string{"p99_us", "p50_us", "user_us"}, Goal: 11, GoalRatio: 1.1},
		{Name: "fan-out over TLS", Flags: []string{"-n=1000", "-dur=" + d}, Secure: true, Figure: "cpu_us", Unit: "µs", Beside: fanOut},
		{Name: "sessions", Flags: []string{"-work=sessions", "-total=4000"}, Figure: "cpu_us", Unit: "µs", Beside: []string{"user_us", "sessions_s"}, Goal: 105, FloorIsLess: true},
		{Name: "idle", Flags: []string{"-work=idle", "-n=10000"}, Figure: "kib_session", Unit: "KiB", Beside: []string{"setup_us"}, Goal: 14, FloorIsLess: true},
		// The runtime collects by itself when it has not for two minutes.
		{Name: "idle, after a GC", Flags: []string{"-work=idle", "-n=10000", "-settle=150s"}, Figure: "kib_session", Unit: "KiB", Goal: 12, FloorIsLess: true},
		{Name: "long-polling, batch 10", Flags: []string{"-n=200", "-batch=10", "-window=40", "-dur=" + d}, Polling: true, Figure: "cpu_us", Unit: "µs",
			Beside: fanOut, Goal: 2.5},
	}
}

// Slow is whether w takes minutes, and so is run only when asked for by name.
func (w Workload) Slow() bool { return w.Name == "idle, after a GC" }

// Matching are the workloads whose name matches; without a pattern, all that
// are not slow.
func Matching(all []Workload, pattern string) ([]Workload, error) {
	names, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	var some []Workload
	for _, w := range all {
		if names.MatchString(w.Name) && (pattern != "" || !w.Slow()) {
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
