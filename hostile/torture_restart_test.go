package hostile_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A server that is shut down in favour of another one, with publishes under way all
// the time: of what it has taken, every listener hears each message, in order and
// once, or is told of a gap in its place; and 99 of 100 hear something again within
// two seconds. The machine may have stood still meanwhile.
func TestARestartUnderLoadLosesNothingInSilenceAndTakesTwoSeconds(t *testing.T) {
	const lulled = 2 * time.Second
	w := newChamber(t, seeded(t), true)
	w.lost.patience = long
	w.host.start(w)
	w.open(w.host.addr(), nil)
	for i := range 16 {
		if i%8 < 6 { // those whose requests nobody harms
			w.seats = append(w.seats, &seat{w: w, i: i, l: w.listen(i)})
		}
	}
	w.publish(4)
	w.allHear()
	for range 3 {
		for _, s := range w.seats {
			s.listener().main.quiet.reset()
		}
		stall := stalls(t.Context())
		w.host.succeed(w)
		w.allHear()
		stood := stall()
		var lulls []time.Duration
		for _, s := range w.seats {
			lulls = append(lulls, s.listener().main.quiet.longest())
		}
		p99 := percentile(lulls, 99)
		t.Logf("a listener heard nothing for: p50 %v, p99 %v; the machine stood still for %v",
			percentile(lulls, 50).Round(time.Millisecond), p99.Round(time.Millisecond), stood.total.Round(time.Millisecond))
		assert.Less(t, p99, lulled+stood.total)
	}
	w.silence()
	w.hearLast()
	w.empty()
	w.host.forgets(t)
	w.shut()
}
