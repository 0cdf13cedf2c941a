package ack

import "slices"

// A Receiver is the client's half as a state machine: it decides which of the
// events that come are new, and what a connect acknowledges. It does nothing by
// itself and holds no time. The zero Receiver is that of a session without
// acknowledgement: every event is new.
type Receiver struct {
	answer Answer

	// By batch.
	batch uint64   // the last one that came
	since []uint64 // fingerprints of the events after it
	again int      // so many of them came again since the last connect
	redo  bool     // and more may
	void  int      // those after again, up to this one, did not; 0: no such

	answered bool // the last connect was: what comes after its number is of its batch, too
	left     int  // of since, when it was: they are of a later batch

	// By number.
	have uint64 // all events up to this one came
	next uint64 // the number of the event that comes next
}

// remembered bounds the fingerprints of one batch; beyond it repeats pass.
const remembered = 1 << 14

// Begin starts a new session: nothing of the old one counts any more.
func (r *Receiver) Begin(a Answer) {
	*r = Receiver{answer: a, batch: a.Batch, next: 1, since: r.since[:0], answered: true}
}

// Enabled reports whether the session has acknowledgement, and in which form.
func (r *Receiver) Enabled() (enabled, numbers bool) { return r.answer.Enabled, r.answer.Numbers }

// Connect returns what the next connect acknowledges. If the one before it was not
// answered, and events have come since the last batch, it is a second try: the server
// will send them again. If it was, they stood behind its reply in the same payload.
func (r *Receiver) Connect() uint64 {
	if r.answer.Numbers {
		return r.have
	}
	switch {
	case r.answered && (r.void > 0 || r.again == r.left):
		r.since = r.since[:0]
	case r.answered:
		r.since = slices.Delete(r.since, 0, r.again)
	case r.void > 0:
		r.since = slices.Delete(r.since, r.again, r.void)
	}
	r.answered = false
	r.expectAgain()
	return r.batch
}

// Stray notes the reply to a connect that was given up before it came. The one after
// it acknowledges no event since the last batch, so the server sends them all again.
func (r *Receiver) Stray() { r.expectAgain() }

func (r *Receiver) expectAgain() { r.again, r.void, r.redo = 0, 0, len(r.since) > 0 }

// Batch notes the number in a connect reply. Events that were expected again and
// were not in that batch come with a later one.
func (r *Receiver) Batch(n uint64) {
	covered := len(r.since)
	if r.redo {
		covered = r.again
	}
	r.batch, r.since = n, slices.Delete(r.since, 0, covered)
	r.answered, r.left = true, len(r.since)
	r.expectAgain()
}

// Unnumbered notes the reply to a connect that has no number, which no server sends
// that counts. What it sends again nobody knows: rather a repeat than a loss.
func (r *Receiver) Unnumbered() {
	r.since, r.left, r.answered = r.since[:0], 0, true
	r.expectAgain()
}

// Mark notes that the event which comes next has number n.
func (r *Receiver) Mark(n uint64) { r.next = n }

// Event reports whether an event is new. fingerprint is equal for equal events
// and differs for others; the numbered form does not need it.
//
// Without numbers a server sends again all events since the batch that a
// connect acknowledged, in their order, so what repeats is what equals the
// events that came before, one by one. At the first that does not the rest is
// new: rather a repeat than a loss.
func (r *Receiver) Event(fingerprint uint64) (fresh bool) {
	switch {
	case !r.answer.Enabled:
		return true
	case r.answer.Numbers:
		n := r.next
		r.next++
		if fresh = n == r.have+1; fresh {
			r.have = n
		}
		return fresh
	}
	if r.redo && r.again < len(r.since) {
		if r.since[r.again] == fingerprint {
			r.again++
			return false
		}
		r.void = len(r.since)
	}
	r.redo = false
	if len(r.since) < remembered {
		r.since = append(r.since, fingerprint)
	}
	return true
}
