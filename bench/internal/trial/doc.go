// Package trial runs servers under the same loads, in turn and each on its own
// core, and prints what they cost side by side. It is what bench/run and
// bench/peers have in common.
//
// Every measurement has a server of its own, started for it and ended after it,
// so that none carries what another left. A round is every workload on every
// server, one server right after the other: what else happens on a machine
// changes within minutes, and so changes all of a round alike.
package trial
