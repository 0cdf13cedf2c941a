//go:build interop

package interop

import (
	"io"
	"maps"

	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/transport"
)

// A cell is a client, a transport and a server: one row of the table.
type cell struct {
	client, server string
	transport      string
	serve          func(log io.Writer) *server
	open           func(log io.Writer, url string) (peer, error) // the session on trial
	other          func(log io.Writer, url string) (peer, error) // who it talks to
	dialer         func(transport string) transport.Dialer       // of our client, if it is that
	not            map[string]string                             // scenarios it cannot do, and why
	blind          bool                                          // never told whether a subscription was accepted
	plainEcho      bool                                          // tried with a service that sends, instead of one that answers
}

func (c cell) can(scenario string) bool { return c.not[scenario] == "" }

// A client is a make of client on the transports it has.
type clientMake struct {
	name       string
	transports []string
	open       func(log io.Writer, url, transport string) (peer, error)
	dialer     func(transport string) transport.Dialer
	not        map[string]string
	blind      bool
	plainEcho  bool
}

// program returns how to start a driver that is a program. A client whose
// requests overtake one another publishes one by one.
func program(oneByOne bool, argv ...string) func(log io.Writer, url, transport string) (peer, error) {
	return func(log io.Writer, url, transport string) (peer, error) {
		d, err := startDriver(log, append(argv, url, transport)...)
		if err != nil {
			return nil, err
		}
		d.oneByOne = oneByOne
		return d, nil
	}
}

func java(class string) []string {
	return []string{"java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-XX:TieredStopAtLevel=1", "-cp", "java/target/classes:java/target/lib/*", class}
}

var both = []string{"websocket", "long-polling"}

var (
	cometdChromium = clientMake{
		name:       "cometd.js " + npm("cometd") + " in Chromium",
		transports: both,
		open:       func(_ io.Writer, url, transport string) (peer, error) { return openPage(url, transport, options{}) },
	}
	cometdNode = clientMake{
		name:       "cometd.js " + npm("cometd") + " in Node",
		transports: both,
		open:       program(false, "node", "js/cometd-node.mjs"),
	}
	cometdJava = clientMake{
		name:       "CometD Java " + maven("cometd"),
		transports: both,
		open:       program(true, java("Client")...),
	}
	fayeClient = clientMake{
		name:       "Faye " + npm("faye"),
		transports: both,
		open:       program(true, "node", "js/faye-client.mjs"),
	}
	aiocometd = clientMake{
		name:       "aiocometd-ng " + pip("aiocometd-ng"),
		transports: both,
		open:       program(true, "python/.venv/bin/python", "python/client.py"),
		plainEcho:  true, // it drops a service message that carries the id of its request
	}
	cometdRust = clientMake{
		name:       "cometd-client " + crate("cometd-client") + " (Rust)",
		transports: []string{"long-polling"},
		open:       program(true, "rust/target/debug/client"),
		not: map[string]string{
			"publish":              "it only receives",
			"1,000 of its own":     "it only receives",
			"unsubscribe":          "it has no unsubscribe",
			"service echo":         "it only receives",
			"crash and restart":    "it gives up when it cannot connect",
			"shutdown and restart": "it gives up when it cannot connect",
		},
		blind: true,
	}
	gobayeux = clientMake{
		name:       "gobayeux " + goModule("gobayeux/v2"),
		transports: []string{"long-polling"},
		open:       program(true, "gobayeux/target/client"),
		not: map[string]string{
			"publish":              "it only receives",
			"1,000 of its own":     "it only receives",
			"wildcard":             "it ends at a message on a channel that it has no subscription of that name for",
			"unsubscribe":          "nobody knows when it has unsubscribed",
			"service echo":         "it only receives",
			"crash and restart":    "it gives up when it cannot connect",
			"shutdown and restart": "it gives up when it cannot connect",
		},
		blind: true,
	}
	ourClient = ourClientOver(func(transport string) transport.Dialer { return dialer(transport) })
)

// ourClientOver is our client on the transports that dialer makes.
func ourClientOver(dialer func(transport string) transport.Dialer) clientMake {
	return clientMake{
		name:       "gocometd",
		transports: both,
		open: func(_ io.Writer, url, transport string) (peer, error) {
			return newOurs(url, transport, client.WithTransports(dialer(transport)))
		},
		dialer: dialer,
	}
}

// A serverMake is a make of server.
type serverMake struct {
	name       string
	transports []string
	serve      func(log io.Writer) *server
	not        map[string]string
	races      bool // its long-polling answers may overtake each other
}

func process(path string, argv ...string) func(log io.Writer) *server {
	return func(log io.Writer) *server {
		return &server{path: path, log: log, argv: func(host, port string) []string {
			return append(argv, host, port)
		}}
	}
}

// serveOurs returns how to start the command line tool's server with more flags.
func serveOurs(flags ...string) func(log io.Writer) *server {
	return func(log io.Writer) *server {
		return &server{path: "/cometd", log: log, argv: func(host, port string) []string {
			argv := []string{ourBinary, "serve", "--listen", host + ":" + port, "--allow-origin", origin()}
			return append(argv, flags...)
		}}
	}
}

var (
	ourServer = serverMake{
		name:       "gocometd",
		transports: both,
		serve:      serveOurs(),
	}
	javaServer = serverMake{
		name:       "CometD Java " + maven("cometd") + ", Jetty " + maven("jetty"),
		transports: both,
		serve:      process("/cometd", java("Server")...),
		races:      true,
	}
	fayeServer = serverMake{
		name:       "Faye " + npm("faye"),
		transports: both,
		serve:      process("/cometd", "node", "js/faye-server.mjs"),
		races:      true,
		not:        map[string]string{"service echo": "it has no services"},
	}
	axumServer = serverMake{
		name:       "axum-cometd " + crate("axum-cometd") + " (Rust)",
		transports: []string{"long-polling"},
		serve:      process("/", "rust/target/debug/server"),
		not: map[string]string{
			"unsubscribe":  "it has no unsubscribe",
			"service echo": "it has no services",
		},
	}
)

// cells are the rows of the table: every client against our server, our client
// against every server.
func cells() []cell {
	var all []cell
	for _, c := range []clientMake{cometdChromium, cometdNode, cometdJava, fayeClient, aiocometd} {
		all = append(all, pair(c, ourServer, ourClient)...)
	}
	simple := ourServer
	simple.serve = serveOurs("--simple-clients")
	all = append(all, pair(cometdRust, simple, ourClient)...)
	brief := ourServer
	brief.serve = serveOurs("--simple-clients", "--timeout", "1s") // it subscribes between two connects
	all = append(all, pair(gobayeux, brief, ourClient)...)
	all = append(all, pair(ourClient, ourServer, ourClient)...)

	all = append(all, pair(ourClient, javaServer, cometdNode)...)
	all = append(all, pair(ourClient, fayeServer, fayeClient)...)
	onPaths := ourClientOver(func(transport string) transport.Dialer {
		return dialer(transport, longpoll.WithPaths(longpoll.Paths{Subscribe: "/", Publish: "/connect"}))
	})
	return append(all, pair(onPaths, axumServer, onPaths)...)
}

// controls are the same scenarios without us: what fails here is the suite's
// or the peers' own.
func controls() []cell {
	var all []cell
	for _, c := range []clientMake{cometdChromium, cometdNode, cometdJava, fayeClient, aiocometd} {
		all = append(all, pair(c, javaServer, cometdNode)...)
		all = append(all, pair(c, fayeServer, fayeClient)...)
	}
	return all
}

// pair returns a cell for each transport that both have. The other session
// uses the first of its transports.
func pair(c clientMake, s serverMake, other clientMake) []cell {
	var cells []cell
	for _, t := range c.transports {
		if t == "websocket" && len(s.transports) == 1 {
			continue
		}
		not := map[string]string{}
		if t == "long-polling" && s.races {
			not["1,000 of its own"] = "its answers may overtake each other"
		}
		if c.dialer == nil {
			for _, scenario := range []string{"cuts", "stalls", "no upgrade"} {
				not[scenario] = "tried with our client only"
			}
		}
		maps.Copy(not, s.not)
		maps.Copy(not, c.not)
		cells = append(cells, cell{
			client: c.name, server: s.name, transport: t, serve: s.serve, dialer: c.dialer, not: not, blind: c.blind, plainEcho: c.plainEcho,
			open:  func(log io.Writer, url string) (peer, error) { return c.open(log, url, t) },
			other: func(log io.Writer, url string) (peer, error) { return other.open(log, url, s.transports[0]) },
		})
	}
	return cells
}
