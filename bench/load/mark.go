//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"
)

// A mark is in the data of every message: "@@", 19 digits, a comma, 10 digits.
const (
	timeDigits   = 19
	numberDigits = 10
	markSize     = 2 + timeDigits + 1 + numberDigits
)

// leastPayload is that of a message's data without any filling.
const leastPayload = len(dataHead) + markSize + len(dataTail) + len(dataEnd)

// appendData appends the data of the next message on a channel, with the time
// when it was due.
func (l *load) appendData(dst []byte, channel int) []byte {
	number := l.perChan[channel].sent
	l.perChan[channel].sent++
	dst = append(dst, dataHead+"@@"...)
	dst = strconv.AppendInt(dst, l.due, 10)
	dst = fmt.Appendf(dst, ",%0*d", numberDigits, number)
	return append(dst, l.pad...)
}

// scan finds the marks in a payload, checks their order, and counts them.
func (l *load) scan(c *conn, p []byte) (found int) {
	for {
		i := bytes.IndexByte(p, '@')
		if i < 0 || i+markSize > len(p) {
			break
		}
		if p[i+1] != '@' {
			p = p[i+1:]
			continue
		}
		sent, number := number(p[i+2:i+2+timeDigits]), number(p[i+markSize-numberDigits:i+markSize])
		p = p[i+markSize:]
		found++
		if number != c.last+1 {
			l.disorder++
		}
		c.last = number
		_ = l.latency.RecordValue(min(max(l.now-sent, 1), int64(longest))) // within its bounds
	}
	l.received += int64(found)
	l.perChan[c.channel].received += int64(found)
	return found
}

func number(digits []byte) (n int64) {
	for _, d := range digits {
		n = n*10 + int64(d-'0')
	}
	return n
}

// quantile is in µs.
func (c *counts) quantile(percent float64) float64 {
	return float64(c.latency.ValueAtQuantile(percent)) / 1000
}
