package negotiation_test

import (
	"fmt"
	"time"

	"github.com/gocometd/cometd/negotiation"
)

func ExampleChoose() {
	typ, ok := negotiation.Choose(
		[]string{"websocket", "long-polling"},
		[]string{"long-polling", "callback-polling"},
	)
	fmt.Println(typ, ok)
	// Output: long-polling true
}

func ExampleCheckVersion() {
	fmt.Println(negotiation.CheckVersion("1.0", ""))
	fmt.Println(negotiation.CheckVersion("2.0", "2.0"))
	// Output:
	// <nil>
	// negotiation: minimum version is newer than 1.0: "2.0"
}

// A proxy swallows WebSockets. The client falls back, and comes back later.
func ExamplePlan() {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	p := negotiation.NewPlan([]string{"websocket", "long-polling"}, negotiation.Rules{})
	fmt.Println(p.Offer(noon))

	p = p.Failed("websocket", noon, false) // it hung
	p = p.Opened("long-polling", noon)     // the network works
	fmt.Println(p.Offer(noon))

	later := p.Wake("long-polling", noon)
	fmt.Println(later.Sub(noon))
	fmt.Println(p.Better("long-polling", later))
	// Output:
	// [websocket long-polling]
	// [long-polling]
	// 5m0s
	// websocket true
}
