// Package negotiation decides which transport is used. It is pure: values in,
// values out, no clock and no network.
//
// Two ends agree by their lists: [Choose] takes the first of mine that is also
// theirs, [CheckVersion] compares protocol versions (docs/protocol.md §3.1,
// §7). What a client offers is its [Plan]: the order of preference, which
// transports failed and until when that is remembered, and when to try the way
// back to a better one.
package negotiation
