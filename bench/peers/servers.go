package main

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/gocometd/cometd/bench/internal/trial"
)

// interop has the Bayeux servers, each a program that takes a host and a port.
const interop = "interop/peers"

// A peer is a server of somebody else's.
type peer struct {
	trial.Server
	make func(context.Context) error // whatever it needs to be started
}

func peers(dir string) []peer {
	centrifuge := filepath.Join(dir, "centrifuge")
	return []peer{
		{trial.Server{
			Name: "CometD Java", Path: "/cometd", Dir: interop, Warm: 10 * time.Second, Without: insecure,
			Load: []string{"-total=20000"}, // of sessions, a fifth of them to warm up
			Argv: listening("java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", "java/target/classes:java/target/lib/*", "Server"),
		}, installed("java/target/classes/Server.class")},
		{trial.Server{
			Name: "Faye", Path: "/cometd", Dir: interop, Warm: 3 * time.Second, Without: insecure,
			Argv: listening("node", "js/faye-server.mjs"),
		}, installed("js/node_modules/faye")},
		{trial.Server{
			Name: "cometd-nodejs", Path: "/cometd", Dir: interop, Warm: 3 * time.Second,
			Without: func(w trial.Workload) bool { return !w.Polling },
			Argv:    listening("node", "js/cometd-server.mjs"),
		}, installed("js/node_modules/cometd-nodejs-server")},
		{trial.Server{
			Name: "axum-cometd", Path: "/", Dir: interop, Load: []string{"-append"},
			Without: func(w trial.Workload) bool { return !w.Polling },
			Argv:    listening("rust/target/release/server"),
		}, build(interop+"/rust", "cargo", "build", "--quiet", "--locked", "--release", "--bin", "server")},
		{trial.Server{
			Name: "centrifuge", Path: "/", Proto: "centrifuge",
			Without: func(w trial.Workload) bool { return w.Polling || w.Secure },
			Argv:    listening(centrifuge),
		}, build("bench/peers/centrifuge", "go", "build", "-o", centrifuge, ".")},
	}
}

func insecure(w trial.Workload) bool { return w.Secure }

// listening is a command line that ends with the host and the port.
func listening(argv ...string) func(trial.Workload, string, string) []string {
	return func(_ trial.Workload, host, port string) []string {
		return append(slices.Clone(argv), host, port)
	}
}
