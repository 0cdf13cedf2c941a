package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCmd struct{}

func (versionCmd) Run(tty console) error {
	_, err := fmt.Fprintln(tty.out, version())
	return err
}

// version is what the Go command wrote into the binary: the module's version,
// or the commit it was built from.
func version() string {
	text := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok {
		text = info.Main.Version
		if text == "" || text == "(devel)" {
			text = "devel" + revision(info)
		}
	}
	return fmt.Sprintf("cometd %s, %s %s/%s", text, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func revision(info *debug.BuildInfo) (commit string) {
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			commit = "-" + s.Value[:12] + commit
		case s.Key == "vcs.modified" && s.Value == "true":
			commit += "+changes"
		}
	}
	return commit
}
