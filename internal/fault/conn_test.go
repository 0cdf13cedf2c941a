package fault_test

import (
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/internal/fault"
)

// across writes text through a connection with steps, and gives what arrives.
func across(t *testing.T, text string, steps ...fault.Step) string {
	a, b := net.Pipe()
	c := fault.NewConn(a, steps...)
	go func() {
		defer c.Close()
		c.Write([]byte(text))
	}()
	got, err := io.ReadAll(b)
	require.NoError(t, err)
	return string(got)
}

// back reads text through a connection with steps.
func back(text string, steps ...fault.Step) (string, error) {
	a, b := net.Pipe()
	go func() {
		defer b.Close()
		b.Write([]byte(text))
	}()
	c := fault.NewConn(a, steps...)
	defer c.Close()
	got, err := io.ReadAll(c)
	return string(got), err
}

func TestEachStepHappensAtItsByte(t *testing.T) {
	for _, x := range []struct {
		kind fault.Kind
		want string
	}{
		{fault.Cut, "0123"},
		{fault.HalfOpen, "0123"},
		{fault.Corrupt, "0123" + "5" + "56789"},
		{fault.Duplicate, "0123" + "456789456789"},
		{fault.Reorder, "0123" + "789" + "456"},
		{fault.Stall, "0123456789"},
		{fault.Delay, "0123456789"},
	} {
		t.Run(x.kind.String(), func(t *testing.T) {
			assert.Equal(t, x.want, across(t, "0123456789", fault.Step{Kind: x.kind, After: 4}), "written")
			if x.kind == fault.HalfOpen {
				return // nobody is told
			}
			got, err := back("0123456789", fault.Step{Kind: x.kind, Way: fault.In, After: 4})
			assert.Equal(t, x.want, got, "read")
			assert.Equal(t, x.kind == fault.Cut, err != nil)
		})
	}
}

func TestWhoWritesFindsTheCut(t *testing.T) {
	a, b := net.Pipe()
	go io.Copy(io.Discard, b)
	c := fault.NewConn(a, fault.Step{Kind: fault.Cut, After: 2})
	n, err := c.Write([]byte("abc"))
	assert.Equal(t, 2, n)
	assert.ErrorIs(t, err, fault.ErrCut)
	_, err = c.Write([]byte("d"))
	assert.Error(t, err)
}

func TestStepsLastAsLongAsTheySay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		across(t, "abc", fault.Step{Kind: fault.Stall, After: 1, For: time.Hour})
		assert.Equal(t, time.Hour, time.Since(begin))

		begin = time.Now()
		_, err := back("abc", fault.Step{Kind: fault.Delay, Way: fault.In, For: time.Minute})
		assert.NoError(t, err)
		assert.GreaterOrEqual(t, time.Since(begin), time.Minute)
	})
}

func TestADeadlineEndsAStallAndTheStallGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		go func() { b.Write([]byte("abc")); b.Close() }()
		c := fault.NewConn(a, fault.Step{Kind: fault.Stall, Way: fault.In, For: time.Hour})
		defer c.Close()
		begin := time.Now()
		c.SetReadDeadline(begin.Add(time.Minute))
		_, err := c.Read(make([]byte, 9))
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, time.Minute, time.Since(begin))

		go func() {
			time.Sleep(time.Minute)
			c.SetReadDeadline(begin.Add(2 * time.Hour)) // while the other waits
		}()
		c.SetReadDeadline(time.Time{})
		n, err := c.Read(make([]byte, 9))
		assert.NoError(t, err)
		assert.Equal(t, 3, n)
		assert.Equal(t, time.Hour, time.Since(begin))
	})
}

func TestAHalfOpenConnectionTellsNobodyAndEndsWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		c := fault.NewConn(a, fault.Step{Kind: fault.HalfOpen})
		n, err := c.Write([]byte("gone"))
		assert.NoError(t, err)
		assert.Equal(t, 4, n)
		b.Close()
		time.AfterFunc(time.Hour, func() { c.Close() })
		begin := time.Now()
		_, err = c.Read(make([]byte, 1))
		assert.ErrorIs(t, err, net.ErrClosed)
		assert.Equal(t, time.Hour, time.Since(begin))
	})
}

func TestASeedGivesTheSameStepsAgain(t *testing.T) {
	one, same, other := fault.Random(7, 100), fault.Random(7, 100), fault.Random(8, 100)
	assert.Equal(t, one(3), same(3))
	assert.NotEqual(t, one(3), one(4))
	assert.NotEqual(t, one(3), other(3))
	for _, s := range fault.Random(7, 100, fault.Stall)(0) {
		assert.Equal(t, fault.Stall, s.Kind)
		assert.Less(t, s.For, 200*time.Millisecond)
	}
	assert.Panics(t, func() { fault.Random(1, 0) })
	assert.Equal(t, "kind 99", fault.Kind(99).String())
}
