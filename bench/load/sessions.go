//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"
)

// idle makes sessions that do nothing, and measures the memory they take.
func (l *load) idle() (report, error) {
	before, err := l.usage()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	l.subs, err = l.setup(l.n, subscriber, func(i int) int { return i % l.channels })
	if err != nil {
		return nil, err
	}
	setup := time.Since(began)
	if err := l.rest(l.settle); err != nil {
		return nil, err
	}
	if l.collect != "" {
		if err := collect(l.collect); err != nil {
			return nil, fmt.Errorf("-collect: %w", err)
		}
	}
	after, err := l.usage()
	if err != nil {
		return nil, err
	}
	r := report{
		"work": "idle", "n": l.n, "setup_s": round(setup.Seconds()),
		"rss0_kib": before.rss, "rss_kib": after.rss,
		"kib_session": round(float64(after.rss-before.rss) / float64(l.n)),
		"setup_us":    round(float64(after.cpu-before.cpu) / float64(l.n)),
	}
	return r, l.rest(l.hold)
}

// collect asks for a profile of the heap, before which the server collects.
func collect(url string) error {
	const patience = time.Minute
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := web.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// sessions makes sessions that handshake, subscribe, connect and disconnect.
func (l *load) sessions() (report, error) {
	if err := l.live(l.total / 5); err != nil {
		return nil, err
	}
	before, err := l.usage()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := l.live(l.total); err != nil {
		return nil, err
	}
	wall := time.Since(began)
	after, err := l.usage()
	if err != nil {
		return nil, err
	}
	r := after.since(before, float64(l.total), wall)
	delete(r, "core_us")
	delete(r, "steal_s")
	delete(r, "rss_mib")
	r["work"], r["total"], r["conc"] = "sessions", l.total, l.conc
	r["sessions_s"] = math.Round(float64(l.total) / wall.Seconds())
	return r, nil
}

// live lives so many sessions, -conc at a time.
func (l *load) live(total int) error {
	const patience = 100 * time.Second
	l.begun, l.completed = 0, 0
	for start := time.Now(); l.completed < total; {
		for l.begun < total && l.begun-l.completed < l.conc {
			c, err := l.dial(visitor, l.begun%l.channels)
			if err != nil {
				return err
			}
			l.begun++
			l.start(c)
		}
		if err := l.poll(50 * time.Millisecond); err != nil {
			return fmt.Errorf("after %d of %d sessions: %w", l.completed, total, err)
		}
		if time.Since(start) > patience {
			return fmt.Errorf("%d of %d sessions after %v", l.completed, total, patience)
		}
	}
	return nil
}
