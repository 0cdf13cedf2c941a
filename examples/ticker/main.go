// Command ticker is a stock ticker: prices on channels that keep the latest
// value, and trades that may wait for company.
//
//	go run ./examples/ticker
//
// It prints its URL. Subscribe from anywhere, with this module's tool or any
// other Bayeux client:
//
//	go run ./cmd/cometd sub http://127.0.0.1:8081/cometd '/prices/*'
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/server"
)

// A Price is what subscribers of /prices/SYMBOL get.
type Price struct {
	Symbol string  `json:"symbol"`
	Price  float64 `json:"price"`
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8081", "`address` to listen on")
	every := flag.Duration("every", 100*time.Millisecond, "pause between two prices of a symbol")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *listen, *every, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, listen string, every time.Duration, out io.Writer) error {
	srv, err := cometd.NewServer(
		// Who reads slowly gets the newest price of each symbol, not all of
		// them, and who comes late gets the last one at once.
		server.WithChannel("/prices/*", server.ChannelOptions{Overflow: server.KeepLatest, SendLast: true}),
		// Trades are many and nobody waits for one: they leave together, or
		// with the next price.
		server.WithChannel("/trades", server.ChannelOptions{Lazy: time.Second, Overflow: server.DropOldest}),
	)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	srv.Mount(mux, "/cometd")
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(ln) }()
	fmt.Fprintf(out, "prices at http://%s/cometd\n", ln.Addr())

	err = trade(ctx, srv, every)
	closing, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = errors.Join(err, srv.Shutdown(closing), web.Shutdown(closing))
	if serving := <-ended; !errors.Is(serving, http.ErrServerClosed) {
		err = errors.Join(err, serving)
	}
	return err
}

// trade makes prices walk until ctx is done.
func trade(ctx context.Context, srv *server.Server, every time.Duration) error {
	prices := []Price{{"ACME", 100}, {"GLOBEX", 42}, {"INITECH", 7.5}}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		for i := range prices {
			p := &prices[i]
			p.Price = max(1, p.Price*(1+(rand.Float64()-0.5)/100))
			if err := srv.Publish(ctx, "/prices/"+p.Symbol, p); err != nil {
				return err
			}
			if err := srv.Publish(ctx, "/trades", fmt.Sprintf("%d %s at %.2f", 1+rand.IntN(500), p.Symbol, p.Price)); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
