// Package bench measures what this module does on the way of a message, each
// figure beside what it should be compared with:
//
//	go test -bench . ./bench                    # everything, a few minutes
//	go test -bench Decode -count 6 ./bench | tee new && benchstat old new
//
// BenchmarkDecode and BenchmarkEncode put package codec beside encoding/json
// and goccy/go-json on the same payloads; BenchmarkClient adds the decoding of
// the data into the application's type. BenchmarkFanOut and BenchmarkPoll carry
// messages through real loopback sockets and report the CPU time of the whole
// process, both ends included, per delivery; BenchmarkPublish a client's
// acknowledged publishes, BenchmarkTree the cost of channels and
// subscriptions.
//
// Benchmarks in one process cannot tell a server's CPU from its clients'. The
// figures in docs/performance.md have a process and a core for each:
//
//	go run ./bench/run      # this server beside the floor, every workload, with ratios
//	go run ./bench/peers    # other servers too
//
// Both put bench/load, a client that decodes nothing, on servers in turn; the
// floor is bench/hubs, which has no protocol.
//
// Machines differ and are shared: compare ratios within one run, the best and
// the median of several.
package bench
