// Command cometd serves, subscribes to and publishes Bayeux messages.
//
//	cometd serve                                   # a server with a chat page, on http://127.0.0.1:8080
//	cometd sub http://127.0.0.1:8080/cometd '/chat/*'
//	cometd pub http://127.0.0.1:8080/cometd /chat/lobby '"hello"'
//	cometd bench http://127.0.0.1:8080/cometd      # how fast it is, and whether all arrives
//
// Messages and results go to stdout, everything else to stderr. The exit status
// is 0 when all went well, 1 when a server refused or could not be reached, or
// when something here did not work, and 2 when the command line was wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

const (
	exitOK = iota
	exitFailed
	exitUsage
)

type commands struct {
	Serve   serveCmd   `cmd:"" help:"Run a server, with a chat page at /."`
	Sub     subCmd     `cmd:"" help:"Subscribe, and print each message as one line of JSON."`
	Pub     pubCmd     `cmd:"" help:"Publish JSON, and wait until the server has taken it."`
	Bench   benchCmd   `cmd:"" help:"Put load on a server, and say how fast it is and whether all arrives."`
	Version versionCmd `cmd:"" help:"Say which version this is."`

	PrintVersion kong.VersionFlag `name:"version" help:"Say which version this is."`
}

const about = `CometD (Bayeux 1.0) on the command line: a server, a subscriber, a publisher, a load.

The exit status is 0 when all went well, 1 when a server refused or could not be reached, or when
something here did not work, and 2 when the command line was wrong. Messages and results go to
stdout, everything else to stderr.`

// A console is where a command reads and writes.
type console struct {
	in       io.Reader
	out, err io.Writer
}

// A usageError is a mistake in the command line: exit status 2.
type usageError struct{ error }

func badUsage(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

func main() { os.Exit(status()) }

func status() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	return run(ctx, os.Args[1:], console{os.Stdin, os.Stdout, os.Stderr})
}

// run is the whole program: it reads args, does what they say until ctx ends,
// and returns the exit status.
func run(ctx context.Context, args []string, tty console) int {
	err := execute(ctx, args, tty)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(tty.err, "cometd:", oneLine(err))
	if _, wrong := errors.AsType[usageError](err); wrong {
		return exitUsage
	}
	return exitFailed
}

func execute(ctx context.Context, args []string, tty console) error {
	answered := false // --help or --version: all is said
	parser, err := kong.New(&commands{},
		kong.Name("cometd"),
		kong.Description(about),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 96}),
		kong.Vars{"version": version()},
		kong.Writers(tty.out, tty.err),
		kong.Exit(func(int) { answered = true }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(tty),
	)
	if err != nil {
		return err
	}
	command, err := parser.Parse(joinPosition(args))
	switch {
	case answered:
		return nil
	case err != nil:
		return badUsage("%w; cometd --help says more", err)
	}
	return command.Run()
}

// joinPosition makes one word of --replay -2, which kong would take for two
// flags.
func joinPosition(args []string) []string {
	for i := range len(args) - 1 {
		if args[i] == "--replay" && strings.HasPrefix(args[i+1], "-") {
			return slices.Concat(args[:i], []string{"--replay=" + args[i+1]}, args[i+2:])
		}
	}
	return args
}

// oneLine is an error's text without line breaks, which errors.Join makes, and
// without what a server may have put there for a terminal to obey.
func oneLine(err error) string {
	return plain(strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; "))
}
