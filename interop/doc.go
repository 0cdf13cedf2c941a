// Package interop drives real Bayeux peers, none of them ours, against this
// module's server and client: cometd.js in Chromium and in Node, the CometD
// Java client and server, Faye's, aiocometd and aiosfstream, gobayeux and the two
// Rust crates.
//
// It holds nothing but tests, behind the build tag interop, because they need
// what an importer does not: Node, a JDK, Maven, Cargo, Python and a browser.
//
//	interop/install                        # once, and again when a version changed
//	go test -tags interop -v ./interop     # prints the table; a missing peer fails
//
// Each peer is a small program under peers/ that obeys commands on its standard
// input and reports on its standard output, one JSON object per line:
//
//	{"id":1,"op":"connect"}                                 → {"id":1}
//	{"id":2,"op":"subscribe","channel":"/a/*"}              → {"id":2}
//	{"id":3,"op":"publish","channel":"/a/b","data":[1]}     → {"id":3}
//	                                                        → {"channel":"/a/b","data":[1]}
//	{"id":4,"op":"call","channel":"/service/echo","data":1} → {"id":4,"data":1}
//	{"id":5,"op":"unsubscribe","channel":"/a/*"}            → {"id":5,"error":"why it failed"}
//	{"id":6,"op":"disconnect"}                              → {"id":6}
//
// Those with extensions (extensions_test.go) take options as their third
// argument, and more commands:
//
//	{"id":7,"op":"state"}                                   → {"id":7,"data":{"session":…,"connected":…,"offset":…,"timestamp":…}}
//	{"id":8,"op":"publishBinary","channel":"/a","data":{"bytes":…,"last":…,"meta":…}} → {"id":8}
//	{"id":9,"op":"reload"}                                  → {"id":9}
//
// So one suite of scenarios (scenarios_test.go) serves every peer and our own
// client alike, in both directions. To add a peer, write its driver and name it
// in peers_test.go.
//
// Below all that, conformance_test.go holds both ends of the WebSocket to the
// cases of Autobahn's test suite.
package interop
