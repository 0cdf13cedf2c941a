package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A benchReport is what one run has found. Times are in µs.
type benchReport struct {
	URL         string        `json:"url"`
	Transport   string        `json:"transport"` // of the clients; with numbers, where it is not the same for all
	Clients     int           `json:"clients"`
	Publishers  int           `json:"publishers"`
	Channels    int           `json:"channels"`
	Stalled     int           `json:"stalled"`
	Fates       []stalledFate `json:"stalled_ended,omitempty"`
	Size        int           `json:"size"`
	Rate        float64       `json:"rate,omitempty"`   // asked for, in publishes per second
	Window      int           `json:"window,omitempty"` // where no rate was
	WarmUp      float64       `json:"warm_up_seconds"`
	Seconds     float64       `json:"seconds"`
	benchFaults               // of the warm-up too, as foreign and reconnects
	Foreign     int64         `json:"foreign"` // messages of somebody else, or of another channel
	Reconnects  uint64        `json:"reconnects"`
	Broken      []breakage    `json:"broken,omitempty"`     // connections, also of the publishers
	Memory      int64         `json:"server_rss,omitempty"` // the most that the server had, in bytes
	benchMeasured

	latency *hdrhistogram.Histogram
	cut     bool // it has not measured for as long as it should have
}

// benchMeasured is of the messages that were due in the measured time, however
// late they were sent or came.
type benchMeasured struct {
	Published int64   `json:"published"`
	Offered   float64 `json:"publishes_per_second"` // less than Rate where the publishers did not keep up
	Delivered int64   `json:"delivered"`

	// PerSecond counts until the last delivery, which is after the measured time
	// where the server or the clients fell behind.
	PerSecond float64   `json:"deliveries_per_second"`
	Latency   latencies `json:"latency_us"`
}

type latencies struct {
	Min  int64   `json:"min"`
	Mean float64 `json:"mean"`
	P50  int64   `json:"p50"`
	P90  int64   `json:"p90"`
	P99  int64   `json:"p99"`
	P999 int64   `json:"p999"`
	Max  int64   `json:"max"`
}

// benchFaults is what a run must not have.
type benchFaults struct {
	Refused  int64 `json:"refused"` // publishes: the server said no
	Lost     int64 `json:"lost"`    // of those that it did not refuse
	Disorder int64 `json:"out_of_order"`
	Repeated int64 `json:"repeated"`
}

// report is of a run whose clients have ended.
func (r *benchRun) report(fates []stalledFate, memory int64) *benchReport {
	c := r.count
	p := &benchReport{URL: r.shownURL(), Transport: r.transports(), Clients: r.Clients, Publishers: r.Publishers,
		Channels: r.Channels, Stalled: len(fates), Fates: fates, Memory: memory, Size: r.Size, Rate: r.Rate,
		WarmUp: r.WarmUp.Seconds(), latency: c.latency()}
	if r.Rate == 0 {
		p.Window = r.Window
	}
	measured := time.Duration(c.to.Load() - c.from.Load())
	p.cut = measured < r.Duration
	p.Seconds = max(0, measured.Seconds()) // it may have ended before it began
	for _, s := range c.streams {
		p.Published += s.measured.Load()
		p.Refused += s.refused.Load()
		p.Lost += s.backlog()
	}
	end := c.to.Load()
	for _, l := range c.listeners {
		end = max(end, l.last)
		p.Disorder += l.disorder
		p.Repeated += l.repeated
		p.Foreign += l.foreign
	}
	for _, cl := range append(r.subs, r.pubs...) {
		p.Reconnects += cl.Stats().Reconnects
	}
	p.Broken = r.broken.list()
	h := p.latency
	p.Delivered = h.TotalCount()
	if p.Seconds > 0 {
		p.Offered = float64(p.Published) / p.Seconds
		p.PerSecond = float64(p.Delivered) / time.Duration(end-c.from.Load()).Seconds()
	}
	l := &p.Latency
	l.Min, l.Mean, l.Max = h.Min(), h.Mean(), h.Max()
	l.P50, l.P90, l.P99, l.P999 = h.ValueAtQuantile(50), h.ValueAtQuantile(90), h.ValueAtQuantile(99), h.ValueAtQuantile(99.9)
	return p
}

// transports names what the subscribers had last, with how many had it if it was
// not the same for all.
func (r *benchRun) transports() string {
	of := map[string]int{}
	for _, cl := range r.subs {
		of[cl.Stats().Transport]++
	}
	names := slices.Sorted(maps.Keys(of))
	if len(names) > 1 {
		for i, name := range names {
			names[i] = fmt.Sprintf("%d %s", of[name], cmp.Or(name, "none"))
		}
	}
	return strings.Join(names, " and ")
}

// failure is nil if everything arrived once and in order.
func (f benchFaults) failure() error {
	if f == (benchFaults{}) {
		return nil
	}
	if f.Refused > 0 {
		return fmt.Errorf("%d publishes were refused; %d messages were lost, %d out of order, %d repeated", f.Refused, f.Lost, f.Disorder, f.Repeated)
	}
	return fmt.Errorf("%d messages were lost, %d out of order, %d repeated", f.Lost, f.Disorder, f.Repeated)
}

func (f benchFaults) line() string {
	if f == (benchFaults{}) {
		return "lost        0, all in order\n"
	}
	line := fmt.Sprintf("lost        %d; out of order %d; repeated %d\n", f.Lost, f.Disorder, f.Repeated)
	if f.Refused > 0 {
		line = fmt.Sprintf("refused     %d\n", f.Refused) + line
	}
	return line
}

func (p *benchReport) text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s on %s, %s, %d bytes, %.1fs", counted(p.Clients, "client"), counted(p.Channels, "channel"), p.Transport, p.Size, p.Seconds)
	if p.Stalled > 0 {
		fmt.Fprintf(&b, ", %d more stalled", p.Stalled)
	}
	fmt.Fprintf(&b, "\n\npublished   %d, %s per second%s\n", p.Published, perSecond(p.Offered), p.asked())
	fmt.Fprintf(&b, "delivered   %d, %s per second\n", p.Delivered, perSecond(p.PerSecond))
	b.WriteString(p.line())
	if p.Foreign > 0 {
		fmt.Fprintf(&b, "foreign     %d messages of somebody else, or of another channel\n", p.Foreign)
	}
	if p.Reconnects > 0 {
		fmt.Fprintf(&b, "reconnects  %d\n", p.Reconnects)
	}
	for _, broken := range p.Broken {
		fmt.Fprintf(&b, "broken      %d: %s\n", broken.Clients, broken.Why)
	}
	if len(p.Fates) > 0 {
		fmt.Fprintf(&b, "stalled     %s\n", told(p.Fates))
	}
	if p.Memory > 0 {
		fmt.Fprintf(&b, "memory      %s, the server's at most\n", mebibytes(p.Memory))
	}
	if p.Delivered > 0 {
		l := p.Latency
		fmt.Fprintf(&b, "latency     p50 %v  p90 %v  p99 %v  p99.9 %v  max %v\n\n", micros(l.P50), micros(l.P90), micros(l.P99), micros(l.P999), micros(l.Max))
		p.bars(&b)
	}
	return append(b.Bytes(), '\n')
}

// counted is so many of what has its plural with an s.
func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// perSecond has decimals where a whole number would say little.
func perSecond(n float64) string {
	if n < 10 {
		return fmt.Sprintf("%.2g", n)
	}
	return fmt.Sprintf("%.0f", n)
}

// asked compares with the rate that was asked for. A message more or less at the
// end of the time, or a percent, is no difference.
func (p *benchReport) asked() string {
	if p.Rate == 0 {
		return ""
	}
	text := fmt.Sprintf(" of the %v asked for", p.Rate)
	if float64(p.Published+1) < 0.99*p.Rate*p.Seconds {
		text += ": TOO FEW, the publishers fell behind"
	}
	return text
}

// micros prints with three digits.
func micros(us int64) time.Duration {
	d := time.Duration(us) * time.Microsecond
	for unit := time.Microsecond; ; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit)
		}
	}
}

// bars draws the histogram in steps of 1, 2, 5, 10 and so on.
func (p *benchReport) bars(b *bytes.Buffer) {
	const width = 50
	rows := p.rows()
	most := int64(1)
	for _, r := range rows {
		most = max(most, r.count)
	}
	for _, r := range rows {
		bar := strings.Repeat("█", int(r.count*width/most))
		if bar == "" && r.count > 0 {
			bar = "▏"
		}
		fmt.Fprintf(b, "%8v … %-7v %6.2f%% %s\n", micros(r.from), micros(r.to), 100*float64(r.count)/float64(p.Delivered), bar)
	}
}

type latencyRow struct{ from, to, count int64 }

// rows leaves out those before the first and after the last that has something.
func (p *benchReport) rows() (rows []latencyRow) {
	next := [...]float64{2, 2.5, 2} // 1, 2, 5, 10
	row, step := latencyRow{0, 1, 0}, 0
	for _, bar := range p.latency.Distribution() {
		for bar.From >= row.to {
			rows = append(rows, row)
			row = latencyRow{row.to, int64(float64(row.to) * next[step%3]), 0}
			step++
		}
		row.count += bar.Count
		if bar.To >= p.Latency.Max {
			break
		}
	}
	rows = append(rows, row)
	for len(rows) > 1 && rows[0].count == 0 {
		rows = rows[1:]
	}
	return rows
}
