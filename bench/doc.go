// Package bench measures what this module does on the way of a message, each
// figure beside what it should be compared with:
//
//	go test -run xxx -bench . ./bench           # everything, a few minutes
//	go test -run xxx -bench Decode -count 6 ./bench | tee new && benchstat old new
//
// BenchmarkDecode and BenchmarkEncode put package codec beside encoding/json
// and goccy/go-json on the same payloads; BenchmarkClient adds the decoding of
// the data into the application's type. go run ./bench/run -codec makes a table of
// the three. BenchmarkFanOut and BenchmarkPoll carry messages through real loopback
// sockets and report the CPU time of the whole process, both ends included, per
// delivery, BenchmarkLatency how long a lone message takes; BenchmarkReceive has a client's events, BenchmarkPublish its
// acknowledged publishes, BenchmarkTree that of a publish among many channels,
// BenchmarkManyChannels and BenchmarkManySubscribers what 100,000 of them take.
//
// Benchmarks in one process cannot tell a server's CPU from its clients'. The
// figures in docs/performance.md have a process and a core for each:
//
//	go run ./bench/run                # this server beside the floor, every workload, with ratios
//	go run ./bench/run -only scale    # by the number of subscribers and of channels
//	go run ./bench/run -client        # this module's client, alone on its core
//	go run ./bench/peers              # other servers too
//
// They put bench/load, a client that decodes nothing, on servers in turn; the
// floor is bench/hubs, which has no protocol. With -client it is bench/consume,
// this module's client, on one that only sends what is ready.
//
// Machines differ and are shared: compare ratios within one run, the best and
// the median of several.
package bench
