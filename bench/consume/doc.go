// Command consume is a client of this module that receives or publishes as fast
// as it can, and says what a message costs it: what bench/load is for servers.
//
//	go build -o /tmp ./bench/consume ./bench/hubs ./cmd/cometd
//	taskset -c 0 /tmp/hubs -blast 64 &
//	taskset -c 1 env GOMAXPROCS=1 /tmp/consume -url ws://127.0.0.1:9010/ -work receive
//	taskset -c 0 /tmp/cometd serve &
//	taskset -c 1 env GOMAXPROCS=1 /tmp/consume -url ws://127.0.0.1:8080/cometd -work publish
//
// go run ./bench/run -client does all of this in turn. With receive the events
// are those of hubs -blast, each handed to a callback, which checks that they
// come in order and that none is missing. With publish 512 acknowledged
// publishes are under way at once.
//
// With -profile FILE it writes a CPU profile of itself while it measures, for
// go tool pprof -top FILE.
//
// It prints one JSON object: msgs_s are messages a second, cpu_us this process's
// CPU time for each, in µs, of which user_us is spent outside the kernel.
package main
