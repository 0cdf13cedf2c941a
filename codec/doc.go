// Package codec turns payloads into messages and back: one pass over the
// bytes, strict JSON and strict UTF-8, bounded in every direction, without
// allocation on the way of a publish.
//
// # Reading
//
// [Read] reads a payload into a pooled [Batch] and [Parse] takes bytes that
// are there already. The batch's Views are slices into its buffer and good
// until Release; [View.Detach] and [Batch.Detach] make messages of their own
// that live on. The two are different types, so that no view reaches user
// code by mistake.
//
//	b, err := codec.Read(r, codec.Limits{})
//	if err != nil {
//		return err // an *Error if the payload is to blame, else r's own
//	}
//	defer b.Release()
//	for i := range b.Views {
//		v := &b.Views[i]
//		…
//	}
//
// A payload is refused whole: for bad JSON or UTF-8, a known field that
// stands twice or has the wrong type, a lone surrogate in a channel, id,
// clientId or subscription, and for breaking one of [Limits]. Wrong types pass
// where the protocol has its own answer to them (docs/protocol.md §4, §21), so
// that one message does not cost its neighbours theirs: a channel, a clientId
// and an advice, or what is inside it, count as absent, an id as an empty one,
// and Detach keeps a subscription in Subscription.Invalid.
//
// # Writing
//
// The Append functions write into a slice and allocate only to grow it. Data
// goes in as [Raw], which only [Encode] and the scanner can make: so bytes
// that are shared by a thousand sessions were checked once.
package codec
