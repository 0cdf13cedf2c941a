// Command load puts load on a server and measures what that costs: the client
// that the figures of docs/performance.md are taken with.
//
// It is one thread over epoll, so that thousands of connections cost it little:
// it decodes no JSON, but looks for a mark in what it receives. Every published
// message carries one, "@@", the time in nanoseconds when it was due (19 digits),
// a comma, and the message's number on its channel (10 digits). So a message that
// is missing or out of order is seen, and how late each was: with -rate a delay of
// this client's own counts too.
//
//	go build -o /tmp ./bench/load ./bench/hubs ./cmd/cometd
//	taskset -c 0 env GOMAXPROCS=1 /tmp/cometd serve --max-per-address=-1 &
//	L="taskset -c 1 /tmp/load -pid $!"
//	$L -url ws://127.0.0.1:8080/cometd -n 1000 -dur 5s                        # fan-out, a window of 16
//	$L -url ws://127.0.0.1:8080/cometd -n 1000 -window 1                      # nothing can be batched
//	$L -url ws://127.0.0.1:8080/cometd -n 1000 -channels 100                  # 100 channels × 10 subscribers
//	$L -url ws://127.0.0.1:8080/cometd -n 1000 -channels 10 -rate 100 -dur 8s # 10,000 deliveries/s
//	$L -url ws://127.0.0.1:8080/cometd -work sessions -total 20000            # handshake, subscribe, connect, disconnect
//	$L -url ws://127.0.0.1:8080/cometd -work idle -n 10000                    # memory of idle sessions
//	$L -url http://127.0.0.1:8080/cometd -n 200 -batch 10 -window 40          # long-polling
//
// Command bench/run does all of this beside the floor and prints the ratios;
// start with it. wss:// and https:// are TLS, with no look at the certificate.
// The address must be an IPv4 one, and the system Linux.
//
// # Output
//
// One JSON object per run on stdout. cpu_us is the figure that counts: the
// server's user and system CPU time in µs per delivered message (for sessions:
// per session), by the scheduler's account in nanoseconds; user_us and sys_us are
// its parts, by the kernel's ticks of 10 ms. They need -pid. Quote it beside
// msgs_frame, the messages in a frame that has any, replies being none: the window
// bounds the average backlog, so that an order of service that is unequal between
// sessions flatters cpu_us and shows there. frame_us is the CPU time per such frame.
// loss and disorder must be 0. client_us is this client's own time per message: when
// the server is idle and this is not, it is the client that was measured.
package main
