package negotiation

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/internal/fuzzing"
)

const (
	ws = "websocket"
	lp = "long-polling"
	cp = "callback-polling"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// after is a moment of the tests.
func after(d time.Duration) time.Time { return start.Add(d) }

func newPlan(r Rules) Plan { return NewPlan([]string{ws, lp, cp}, r) }

func TestOfferHasTheOrderOfPreference(t *testing.T) {
	assert.Equal(t, []string{ws, lp, cp}, newPlan(Rules{}).Offer(start))
	assert.Equal(t, []string{lp, ws}, NewPlan([]string{lp, ws, lp}, Rules{}).Offer(start), "each once")
	assert.Empty(t, Plan{}.Offer(start))
}

func TestAFinalFailureIsRememberedUntilItIsForgotten(t *testing.T) {
	p := newPlan(Rules{Forget: time.Hour}).Failed(ws, start, true)
	assert.Equal(t, []string{lp, cp}, p.Offer(start))
	assert.Equal(t, []string{lp, cp}, p.Offer(after(time.Hour-1)))
	assert.Equal(t, []string{ws, lp, cp}, p.Offer(after(time.Hour)))

	p = newPlan(Rules{Forget: -1}).Failed(ws, start, true)
	assert.Equal(t, []string{lp, cp}, p.Offer(after(1e6*time.Hour)), "never forgotten")
}

// A server that is down must not push its clients to long-polling.
func TestWhenEverythingFailsNothingIsGivenUp(t *testing.T) {
	p := newPlan(Rules{})
	for range 10 {
		for _, typ := range p.Offer(start) {
			p = p.Failed(typ, start, false)
		}
	}
	assert.Equal(t, []string{ws, lp, cp}, p.Offer(start))
	p = p.Failed(ws, start, true).Failed(lp, start, true).Failed(cp, start, true)
	assert.Equal(t, []string{ws, lp, cp}, p.Offer(start), "all final: all again")
}

// A proxy that lets a WebSocket hang shows only in that long-polling works.
func TestAFailureCountsWhenALesserTransportWorks(t *testing.T) {
	p := newPlan(Rules{}).Failed(ws, start, false)
	assert.Contains(t, p.Offer(start), ws, "the network may be down")
	p = p.Opened(lp, after(time.Second))
	assert.Equal(t, []string{lp, cp}, p.Offer(after(time.Second)))
	assert.Contains(t, p.Offer(after(DefaultForget)), ws, "counted from the failure")
}

func TestAFailureOfABetterTransportSaysNothingAboutALesserOne(t *testing.T) {
	p := newPlan(Rules{}).Failed(lp, start, false).Opened(ws, start)
	assert.Equal(t, []string{ws, lp, cp}, p.Offer(start))
}

func TestOpeningForgetsFailures(t *testing.T) {
	p := newPlan(Rules{Forget: -1}).Failed(ws, start, true).Opened(ws, start)
	assert.Equal(t, []string{ws, lp, cp}, p.Offer(start))
}

func TestStickyKeepsWhatHasWorked(t *testing.T) {
	for _, sticky := range []bool{false, true} {
		p := newPlan(Rules{Sticky: sticky}).Opened(ws, start).Failed(ws, start, false).Opened(lp, start)
		assert.Equal(t, sticky, p.Offer(start)[0] == ws, "sticky %v", sticky)
		p = p.Failed(ws, start, true)
		assert.Equal(t, []string{lp, cp}, p.Offer(start), "a final failure counts, sticky %v", sticky)
	}
}

func TestTheWayBack(t *testing.T) {
	r := Rules{Forget: 10 * time.Minute, Upgrade: time.Minute}
	p := newPlan(r).Failed(ws, start, false).Opened(lp, start)

	assert.Equal(t, after(10*time.Minute), p.Wake(lp, start), "not before the failure is forgotten")
	_, ok := p.Better(lp, after(10*time.Minute-1))
	assert.False(t, ok)
	better, ok := p.Better(lp, after(10*time.Minute))
	assert.True(t, ok)
	assert.Equal(t, ws, better)

	p = p.Failed(ws, after(10*time.Minute), false)
	assert.Equal(t, after(20*time.Minute), p.Wake(lp, after(10*time.Minute)), "tried again later")
	p = p.Opened(ws, after(20*time.Minute))
	assert.Zero(t, p.Wake(ws, after(20*time.Minute)), "nothing is better than the first")
}

func TestTheWayBackWaitsForTheUpgradePause(t *testing.T) {
	p := newPlan(Rules{Upgrade: time.Minute}).Opened(lp, start) // the server's list had no websocket then
	assert.Equal(t, after(time.Minute), p.Wake(lp, start))
	assert.Equal(t, after(time.Hour), p.Wake(lp, after(time.Hour)), "now at the earliest")
	p = newPlan(Rules{Forget: -1}).Failed(ws, start, true).Opened(lp, start)
	assert.Zero(t, p.Wake(lp, start), "what is never forgotten is never tried again")
	p = newPlan(Rules{Upgrade: -1}).Opened(lp, start)
	assert.Zero(t, p.Wake(lp, start), "never")
}

func TestAStickyTransportIsNotTriedAgainAtOnce(t *testing.T) {
	p := newPlan(Rules{Sticky: true, Upgrade: time.Minute}).Opened(ws, start).Failed(ws, start, false).Opened(lp, start)
	now := after(time.Minute)
	better, _ := p.Better(lp, now)
	require.Equal(t, ws, better)
	p = p.Failed(ws, now, false)
	assert.Equal(t, after(2*time.Minute), p.Wake(lp, now))
}

func TestUnknownTypesChangeNothing(t *testing.T) {
	p := newPlan(Rules{})
	assert.Equal(t, p, p.Failed("x", start, true))
	assert.Equal(t, p, p.Opened("x", start))
	_, ok := p.Better("x", start)
	assert.False(t, ok)
}

// Whatever happens in whatever order: there is always something to try, in the
// order of preference; Better is better and may be tried; Better and Wake say
// the same; and a Plan that was asked for another is still itself.
func FuzzPlan(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5}, false)
	f.Add([]byte{0x10, 0x41, 0x90, 0x55, 0xf2}, true)
	types := []string{ws, lp, cp}
	f.Fuzz(func(t *testing.T, steps []byte, sticky bool) {
		fuzzing.Watch(t)
		p, now, on := NewPlan(types, Rules{Sticky: sticky}), start, ""
		for _, step := range steps {
			before, offer := p, p.Offer(now)
			typ := types[step%3]
			switch step / 3 % 3 {
			case 0:
				p = p.Failed(typ, now, step&0x40 != 0)
				if typ == on {
					on = ""
				}
			case 1:
				p, on = p.Opened(typ, now), typ
			case 2:
				now = now.Add(time.Duration(step) * time.Second)
				offer = before.Offer(now)
			}
			require.Equal(t, offer, before.Offer(now), "the old Plan has changed")
			check(t, p, on, now)
		}
	})
}

func check(t *testing.T, p Plan, on string, now time.Time) {
	t.Helper()
	offer := p.Offer(now)
	require.NotEmpty(t, offer)
	last := -1
	for _, typ := range offer {
		at := index(typ)
		require.Greater(t, at, last, "order")
		last = at
	}
	wake := p.Wake(on, now)
	better, ok := p.Better(on, now)
	require.Equal(t, !wake.IsZero() && !wake.After(now), ok, "Better at %v, Wake %v", now, wake)
	if ok {
		require.Less(t, index(better), index(on))
		require.Contains(t, offer, better)
	} else if !wake.IsZero() {
		_, ok = p.Better(on, wake)
		require.True(t, ok, "awake too early")
	}
}

func index(typ string) int {
	for i, t := range []string{ws, lp, cp} {
		if t == typ {
			return i
		}
	}
	return 99
}
