package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// looks is how often a server looks for memory that it could give back: soon
	// after many have come or gone.
	looks = time.Second

	// apart is how long it is at least from one time to the next: long enough that
	// a collection each time costs an idle server of 10,000 sessions a thousandth
	// of a core.
	apart = 30 * time.Second
)

// giveBack returns free memory to the operating system while little is going
// on, until ctx ends. Go keeps what the heap may grow to before it collects
// again, which is twice what is in use: of an idle server's memory that is a
// quarter, and nobody needs it until there is traffic.
func giveBack(ctx context.Context) {
	tick := time.NewTicker(looks)
	defer tick.Stop()
	var last time.Time
	for before := lookAtHeap(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := lookAtHeap()
		if time.Since(last) >= apart && now.quietSince(before) && now.spare() > now.total/16 {
			debug.FreeOSMemory()
			last = time.Now()
		}
		before = now
	}
}

// A heap is what the process has of memory, in bytes.
type heap struct {
	allocated uint64 // ever
	live      uint64 // found by the last collection
	objects   uint64 // live, and garbage since
	free      uint64 // kept for more of them
	total     uint64 // of all that Go has from the operating system
}

func lookAtHeap() heap {
	s := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(s)
	v := func(i int) uint64 { return s[i].Value.Uint64() }
	return heap{allocated: v(0), live: v(1), objects: v(2), free: v(3), total: v(4) - v(5)}
}

// quietSince reports whether so little was allocated since the last look that, went
// it on so, it would be less than what is in use until memory may be given back
// again. Where a burst comes every few seconds it does not go on so: then this costs
// a collection every half a minute, and what is given back is taken again.
func (h heap) quietSince(before heap) bool {
	return (h.allocated-before.allocated)*uint64(apart/looks) < h.live
}

// spare is what a collection and giving back would save.
func (h heap) spare() uint64 { return h.free + h.objects - min(h.live, h.objects) }
