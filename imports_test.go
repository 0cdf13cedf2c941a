package cometd_test

import (
	"go/parser"
	"go/token"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/gocometd/cometd"

// mayImport has, for each package, the packages of this module that it may
// import. A package that is not here may import all of them.
var mayImport = map[string]string{
	"bayeux":           "",
	"transport":        "bayeux",
	"transport/memory": "bayeux transport internal/lock",
	"codec":            "bayeux",
	"negotiation":      "bayeux",
	"wsclient":         "bayeux transport internal/wire",
	"wsserver":         "bayeux transport internal/wire",
	"longpoll":         "bayeux transport codec internal/lock",
	"client":           "bayeux transport codec negotiation internal/clock internal/hub internal/lock",
	"server":           "bayeux transport codec negotiation internal/clock internal/hub internal/lock internal/lull",
	"internal/clock":   "",
	"internal/hub":     "internal/lock",
	"internal/wire":    "internal/lock internal/lull",
	"internal/lock":    "",
	"internal/lull":    "internal/lock",
	"internal/plot":    "",
}

// A package imports only what lies below it, so that clients carry no server,
// sessions know no transport, and a new transport is a new folder.
func TestImportsPointDown(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}}:{{join .Imports \" \"}}", "./...").Output()
	require.NoError(t, err)
	found := 0
	for line := range strings.Lines(string(out)) {
		path, imports, _ := strings.Cut(strings.TrimSpace(line), ":")
		name := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
		allowed, known := mayImport[name]
		if !known {
			continue
		}
		found++
		for _, imported := range strings.Fields(imports) {
			rest, ours := strings.CutPrefix(imported, module+"/")
			if ours && !slices.Contains(strings.Fields(allowed), rest) {
				t.Errorf("%s imports %s; it may import %q", name, rest, allowed)
			}
		}
	}
	require.Greater(t, found, 8, "packages checked")
}

// mayGuess are the files of the server's end that use math/rand: for what nobody gains
// from guessing.
var mayGuess = []string{
	"server/shutdown.go", // spreads the clients' return
}

// Ids of sessions and cookies are from crypto/rand: math/rand is where no id is made.
func TestNothingThatMakesIDsUsesMathRand(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{$d := .ImportPath}}{{range .GoFiles}}{{$d}}/{{.}}\n{{end}}", "./server", "./transport/...", "./wsserver", "./longpoll").Output()
	require.NoError(t, err)
	guessing := []string{}
	for name := range strings.Lines(string(out)) {
		name = strings.TrimPrefix(strings.TrimSpace(name), module+"/")
		if name == "" {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, i := range file.Imports {
			if strings.HasPrefix(strings.Trim(i.Path.Value, `"`), "math/rand") {
				guessing = append(guessing, name)
			}
		}
	}
	require.Equal(t, mayGuess, guessing)
}

// A client is built without the server, and a server without the client.
func TestNeitherEndCarriesTheOther(t *testing.T) {
	for from, never := range map[string]string{"client": "server", "server": "client", "ext/ack": "server", "wsclient": "server"} {
		out, err := exec.Command("go", "list", "-deps", "./"+from).Output()
		require.NoError(t, err)
		for line := range strings.Lines(string(out)) {
			require.NotEqual(t, module+"/"+never, strings.TrimSpace(line), "%s depends on %s", from, never)
		}
	}
}
