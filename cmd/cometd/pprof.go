package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"time"
)

// checkProfiles refuses an address that others than this machine reach: profiles
// show the whole program, and each costs it something.
func checkProfiles(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().IsLoopback() {
		return fmt.Errorf("--pprof is %q, want an address of the loopback with its port, such as 127.0.0.1:6060", address)
	}
	return nil
}

// profiles listens for who wants profiles; serve answers them until its ctx ends.
// Without an address nobody is answered.
func profiles(ctx context.Context, address string) (serve func(context.Context) error, err error) {
	if address == "" {
		return func(context.Context) error { return nil }, nil
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--pprof: %w", err)
	}
	web := &http.Server{Handler: profileHandler(), ReadHeaderTimeout: 10 * time.Second}
	return func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { _ = web.Close() }) // and Serve returns
		defer stop()
		return ignoreClosed(web.Serve(ln))
	}, nil
}

func profileHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocal(r.Host) { // a page whose name leads here (DNS rebinding)
			http.Error(w, "this is not a name of this machine", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}
