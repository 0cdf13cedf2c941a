package negotiation

import (
	"slices"
	"time"
)

// Defaults of [Rules].
const (
	DefaultForget  = 5 * time.Minute
	DefaultUpgrade = time.Minute
)

// Rules are the times of a [Plan]. The zero value of a field means its default;
// a negative one means never.
type Rules struct {
	Forget  time.Duration // how long a failure is remembered; default 5 minutes
	Upgrade time.Duration // on a lesser transport, how long until a better one is tried; default 1 minute
	Sticky  bool          // a transport that has opened once is dropped only by a final failure
}

// A Plan is a client's knowledge of its transports. It is a value: every method
// leaves it as it is, and those that learn something return the next Plan. The
// zero Plan offers nothing.
//
// A failure that is final (transport.ErrUnsupported: something answered, but
// not with this transport) is remembered at once. Any other failure may mean
// that the whole network is down, so it counts only if a lesser transport works:
// it opened afterwards, or is open now. What is remembered is not offered until
// Rules.Forget has passed.
type Plan struct {
	types  []string // by preference
	rules  Rules
	known  []record  // one per type
	on     int       // the type in use, as an index; meaningful if open
	open   bool      // a type is in use
	opened time.Time // since when
}

// A record is what is known of one type.
type record struct {
	worked bool      // it has opened once
	failed bool      // and did not open since; until says how long that counts
	until  time.Time // zero: for ever
	doubt  bool      // failed, but perhaps with the whole network
	when   time.Time // of the doubtful failure
}

// NewPlan is the Plan of a client that prefers types in this order and has tried
// none. A type that is given twice counts where it stands first.
func NewPlan(types []string, r Rules) Plan {
	if r.Forget == 0 {
		r.Forget = DefaultForget
	}
	if r.Upgrade == 0 {
		r.Upgrade = DefaultUpgrade
	}
	p := Plan{rules: r}
	for _, t := range types {
		if !slices.Contains(p.types, t) {
			p.types = append(p.types, t)
		}
	}
	p.known = make([]record, len(p.types))
	return p
}

// Offer is what to try now, in this order, each once, and what to write into
// supportedConnectionTypes. When everything has failed it is everything: to
// try nothing would help nobody.
func (p Plan) Offer(now time.Time) []string {
	var offer []string
	for i, t := range p.types {
		if !p.known[i].blocked(now) {
			offer = append(offer, t)
		}
	}
	if len(offer) == 0 {
		return slices.Clone(p.types)
	}
	return offer
}

// blocked says whether r is not to be tried now.
func (r record) blocked(now time.Time) bool {
	return r.failed && (r.until.IsZero() || now.Before(r.until))
}

// Failed is p after typ could not be opened, or broke when it was in use.
// Types that p does not have change nothing.
func (p Plan) Failed(typ string, now time.Time, final bool) Plan {
	i := slices.Index(p.types, typ)
	if i < 0 {
		return p
	}
	p.known = slices.Clone(p.known)
	if p.open && p.on == i {
		p.open = false
	}
	r := &p.known[i]
	switch {
	case final, p.open && p.on > i && !(r.worked && p.rules.Sticky):
		r.remember(now, p.rules.Forget)
	default:
		r.doubt, r.when = true, now
	}
	return p
}

func (r *record) remember(when time.Time, forget time.Duration) {
	r.failed, r.doubt, r.until = true, false, time.Time{}
	if forget > 0 {
		r.until = when.Add(forget)
	}
}

// Opened is p after typ opened and a session works over it. What better types
// failed with just before was theirs, not the network's.
func (p Plan) Opened(typ string, now time.Time) Plan {
	i := slices.Index(p.types, typ)
	if i < 0 {
		return p
	}
	p.known = slices.Clone(p.known)
	p.known[i] = record{worked: true}
	for j := range i {
		if r := &p.known[j]; r.doubt && !(r.worked && p.rules.Sticky) {
			r.remember(r.when, p.rules.Forget)
		}
		p.known[j].doubt = false
	}
	if !p.open || p.on != i {
		p.on, p.open, p.opened = i, true, now
	}
	return p
}

// Better is the type to try while a session goes on over typ: the most
// preferred before it that may be tried now. False: stay. Say Opened or Failed
// of the attempt.
func (p Plan) Better(typ string, now time.Time) (string, bool) {
	for i, at := range p.better(typ) {
		if !at.IsZero() && !now.Before(at) {
			return p.types[i], true
		}
	}
	return "", false
}

// Wake is when Better will have an answer for typ, now at the earliest; the zero
// time says never, unless something is learned first.
func (p Plan) Wake(typ string, now time.Time) time.Time {
	var wake time.Time
	for _, at := range p.better(typ) {
		if !at.IsZero() && (wake.IsZero() || at.Before(wake)) {
			wake = at
		}
	}
	if !wake.IsZero() && wake.Before(now) {
		return now
	}
	return wake
}

// better gives for each type before typ when it may be tried; zero: never.
func (p Plan) better(typ string) []time.Time {
	i := slices.Index(p.types, typ)
	if i < 0 || p.rules.Upgrade < 0 || !p.open || p.on != i {
		return nil
	}
	times := make([]time.Time, i)
	for j := range i {
		at := p.opened.Add(p.rules.Upgrade)
		switch r := p.known[j]; {
		case r.failed && r.until.IsZero():
			continue
		case r.failed && r.until.After(at):
			at = r.until
		case r.doubt && r.when.Add(p.rules.Upgrade).After(at):
			at = r.when.Add(p.rules.Upgrade) // sticky, and failed again: not at once
		}
		times[j] = at
	}
	return times
}
