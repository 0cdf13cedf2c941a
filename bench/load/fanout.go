//go:build linux

package main

import (
	"fmt"
	"math"
	"time"
)

// fanOut has publishers and subscribers, and measures what a delivery costs.
func (l *load) fanOut() (report, error) {
	if err := l.gather(); err != nil {
		return nil, err
	}
	if err := l.phase(l.warm); err != nil {
		return nil, err
	}
	if late, disorder := l.backlog(), l.counts.disorder; late > 0 || disorder > 0 {
		return nil, fmt.Errorf("of the warm-up %d messages did not arrive and %d were out of order", late, disorder)
	}
	published := l.published()
	l.counts = newCounts()
	before, err := l.usage()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := l.phase(l.dur); err != nil {
		return nil, err
	}
	wall := time.Since(began)
	after, err := l.usage()
	if err != nil {
		return nil, err
	}
	counted := l.counts
	if counted.received == 0 {
		return nil, errNothing
	}
	r := after.since(before, float64(counted.received), wall)
	l.describe(r, counted, wall)
	if l.pid > 0 {
		r["frame_us"] = round(float64(after.cpu-before.cpu) / float64(counted.frames))
	}
	r["published"], r["loss"] = l.published()-published, l.backlog()
	return r, l.disperse()
}

// gather makes the sessions.
func (l *load) gather() (err error) {
	l.subs, err = l.setup(l.n, subscriber, func(i int) int { return i % l.channels })
	if err != nil {
		return err
	}
	for _, c := range l.subs {
		l.perChan[c.channel].subscribers++
	}
	l.pubs, err = l.setup(l.channels, publisher, func(i int) int { return i })
	if err != nil {
		return err
	}
	for _, c := range l.pubs {
		if !l.http {
			break
		}
		if c.poster, err = l.dial(poster, c.channel); err != nil {
			return err
		}
		c.poster.state, c.poster.cookie, c.poster.clientID = ready, c.cookie, c.clientID
	}
	return l.rest(300 * time.Millisecond)
}

// phase publishes for d, and waits until all of it has arrived.
func (l *load) phase(d time.Duration) error {
	publish, end := l.fill, time.Now().Add(d)
	if l.rate > 0 {
		publish = l.pace(end)
	}
	for time.Now().Before(end) {
		if err := l.poll(publish()); err != nil {
			return err
		}
	}
	const patience = 30 * time.Second // a slow server under many sessions has seconds of it queued
	for limit := time.Now().Add(patience); l.backlog() > 0 && time.Now().Before(limit); {
		if err := l.poll(20 * time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// fill publishes as much as the window allows on each channel, and returns how
// long nothing else needs doing.
func (l *load) fill() time.Duration {
	for i := range l.perChan {
		t := &l.perChan[i]
		for t.backlog() <= int64(l.window-l.batch)*t.subscribers && !l.pubs[i].posting() {
			l.publish(i, time.Now())
		}
	}
	return 20 * time.Millisecond
}

// pace publishes what is due before end when it is time, on one channel after the other.
func (l *load) pace(end time.Time) func() time.Duration {
	interval := time.Duration(float64(time.Second) / l.rate * float64(l.batch))
	next, turn := time.Now(), 0
	return func() time.Duration {
		for next.Before(end) && !time.Now().Before(next) {
			l.publish(turn, next)
			turn = (turn + 1) % l.channels
			next = next.Add(interval)
		}
		return max(0, time.Until(next))
	}
}

// publish sends a payload of messages that were due then: that this client itself
// was late is part of their latency.
func (l *load) publish(channel int, due time.Time) {
	c := l.pubs[channel]
	l.due = due.UnixNano()
	payload := l.dialect.append(make([]byte, 0, 512*l.batch), c, l.batch)
	if l.http {
		l.post(c.poster, "publish", payload)
		return
	}
	l.frame(c, opText, payload)
}

// posting is whether a publish over long-polling waits for its answer.
func (c *conn) posting() bool { return c.poster != nil && c.poster.busy }

// backlog is how many deliveries are still to come.
func (t *tally) backlog() int64 { return t.sent*t.subscribers - t.received }

func (l *load) backlog() (sum int64) {
	for i := range l.perChan {
		sum += l.perChan[i].backlog()
	}
	return sum
}

func (l *load) published() (sum int64) {
	for i := range l.perChan {
		sum += l.perChan[i].sent
	}
	return sum
}

func (l *load) describe(r report, c counts, wall time.Duration) {
	r["work"] = l.workload()
	r["n"], r["channels"], r["window"], r["batch"] = l.n, l.channels, l.window, l.batch
	m := float64(c.received)
	r["delivered"], r["msgs_s"] = c.received, math.Round(m/wall.Seconds())
	r["msgs_frame"], r["msgs_read"] = round(m/float64(c.frames)), round(m/float64(c.reads))
	r["bytes_msg"], r["connreplies"] = round(float64(c.bytes)/m), c.connectReplies
	r["disorder"] = c.disorder
	r["p50_us"], r["p99_us"], r["p999_us"] = c.quantile(50), c.quantile(99), c.quantile(99.9)
}

func (l *load) workload() string {
	switch {
	case l.http:
		return "longpoll"
	case l.rate > 0:
		return "latency"
	case l.channels > 1:
		return "channels"
	}
	return "fanout"
}

// disperse ends every session, so that the server of a later run is not still
// queueing for dead ones. What it says to the end is not looked at.
func (l *load) disperse() error {
	for i, c := range append(l.subs, l.pubs...) {
		if err := l.dialect.leave(c); err != nil {
			return err
		}
		if i%20 == 19 {
			_ = l.poll(0)
		}
	}
	_ = l.rest(time.Second)
	return nil
}
