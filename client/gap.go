package client

import (
	"time"

	"github.com/gocometd/cometd/transport"
)

// A Gap tells that messages may have been missed, and stands where they would:
// after the last message before it, before the first one after. It comes when a
// session was lost, when a connection broke without an extension that makes up
// for it (ext/ack, ext/replay), when a full queue dropped its oldest, and when Subscribe
// gave up what an extension follows ([Client.Subscribe]); to listeners too
// ([Client.Listen]), but for those of meta channels.
//
// Over long-polling a connect that was given up, which is when a Gap is told, may
// reach the server later than the next one. Most servers send messages along with
// the answer, which nobody reads: they may be missing a moment after the Gap.
type Gap struct {
	Channel  string           // a channel of the subscription
	From, To time.Time        // when the first and the last may have been missed; a zero From: long ago, nobody knows when
	Dropped  int              // how many are known to be missing; 0: not known, perhaps none
	Reason   transport.Reason // Overflow: dropped here; Expired: session lost; Replaced: by Nudge; else why the connection broke
}

// merge makes one gap of two neighbours, either of which may be nil.
func merge(a, b *Gap) *Gap {
	if a == nil {
		return b
	}
	if b != nil {
		a.Dropped += b.Dropped
		if a.To = b.To; b.Reason == transport.Expired {
			a.Reason = b.Reason
		}
	}
	return a
}

// ReportGap tells the subscriptions of g.Channel, a channel or pattern without a
// filter, that messages may have been missed, and whoever hears of gaps. It is
// for extensions, such as one whose stored position the server no longer knows.
func (c *Client) ReportGap(g Gap) {
	c.topics.mu.Lock()
	var subs []*Subscription
	for _, t := range c.topics.byKey[g.Channel] {
		subs = append(subs, t.subs...)
	}
	c.topics.mu.Unlock()
	for _, s := range subs {
		s.queue.addGap(g)
	}
	c.tellGap(g)
}

// tellGap tells log, hooks and events of a gap. Callers do so once for a channel.
func (c *Client) tellGap(g Gap) {
	c.cfg.log.Warn("messages may have been missed", "channel", g.Channel, "from", g.From, "reason", g.Reason.String())
	if f := c.cfg.hooks.Gap; f != nil {
		f(g)
	}
	c.hub.Tell(g)
}

// markGap marks a gap that began when the server was last heard.
func (c *Client) markGap(reason transport.Reason, newSession bool) {
	c.markGapSince(c.lastHeard(), reason, newSession)
}

// markGapSince puts a gap from a time until now into every subscription that has
// been accepted, or has heard something before its reply, and into those of Listen.
func (c *Client) markGapSince(from time.Time, reason transport.Reason, newSession bool) {
	g := Gap{From: from, To: time.Now(), Reason: reason}
	for _, t := range append(c.topics.wanted(), c.topics.listening()...) {
		if g.Channel = t.key; c.cfg.recovers(t.key, newSession) {
			continue
		}
		told := false
		for _, s := range t.subs {
			if t.was || s.queue.waits() {
				s.queue.addGap(g)
				told = true
			}
		}
		if (told || t.was) && !(t.listens && c.topics.subscribedTo(t.key)) { // once for a channel
			c.tellGap(g)
		}
	}
}
