// Uncovered compares what tests have not run with the record of what somebody
// has looked at: scripts/uncovered.txt. It prints, and ends with status 1, what is
// not in the record, and says what of it is run now.
//
//	go run ./internal/uncovered -record scripts/uncovered.txt PROFILE…
//	go run ./internal/uncovered -lines PROFILE…      all that was not run, in the form of the record
//	go run ./internal/uncovered -packages -record scripts/uncovered.txt PROFILE…
//
// The last one prints the packages of what is not in the record, for another run:
// what is run only when the timing is right is not to fail.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

const module = "github.com/gocometd/cometd/"

func main() {
	var c comparison
	recordPath := flag.String("record", "", "file with the record")
	flag.BoolVar(&c.lines, "lines", false, "print all that was not run")
	flag.BoolVar(&c.packages, "packages", false, "print the packages of what is not in the record")
	flag.Parse()
	ok, err := c.run(*recordPath, flag.Args(), os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "uncovered:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

type comparison struct {
	lines, packages bool
	missing         map[block]int // not run
	known           *record
}

// run reports whether all is in the record.
func (c *comparison) run(recordPath string, profiles []string, out io.Writer) (ok bool, err error) {
	if c.missing, err = missingIn(profiles); err != nil {
		return false, err
	}
	if c.lines {
		printBlocks(out, c.missing)
		return true, nil
	}
	text, err := os.ReadFile(recordPath)
	if err != nil {
		return false, err
	}
	if c.known, err = readRecord(string(text)); err != nil {
		return false, fmt.Errorf("%s: %w", recordPath, err)
	}
	fresh := c.fresh()
	if c.packages {
		for _, p := range packagesOf(fresh) {
			fmt.Fprintln(out, p)
		}
		return true, nil
	}
	if runNow := c.runNow(); len(runNow) > 0 {
		fmt.Fprintf(out, "== in %s, but run now, or gone\n", recordPath)
		printBlocks(out, runNow)
	}
	if len(fresh) > 0 {
		fmt.Fprintf(out, "== not run, and not in %s\n", recordPath)
		printBlocks(out, fresh)
	}
	return len(fresh) == 0, nil
}

// fresh is what is not run and nobody has looked at.
func (c *comparison) fresh() map[block]int {
	all := map[block]int{}
	for b, n := range c.missing {
		if more := n - c.known.blocks[b]; more > 0 {
			all[b] = more
		}
	}
	return all
}

// runNow is what need not be in the record any more.
func (c *comparison) runNow() map[block]int {
	all := map[block]int{}
	for b, n := range c.known.blocks {
		if more := n - c.missing[b]; more > 0 && !c.known.sometimes[b] {
			all[b] = more
		}
	}
	return all
}

// missingIn are the blocks that ran in none of the profiles.
func missingIn(profiles []string) (map[block]int, error) {
	var in strings.Builder
	for _, p := range profiles {
		text, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		in.Write(text)
	}
	spans, err := readProfiles(in.String())
	if err != nil {
		return nil, err
	}
	missing := map[block]int{}
	for len(spans) > 0 {
		n := slices.IndexFunc(spans, func(s span) bool { return s.file != spans[0].file })
		if n < 0 {
			n = len(spans)
		}
		name := strings.TrimPrefix(spans[0].file, module)
		blocks, err := blocksOf(name, spans[:n])
		if err != nil {
			return nil, err
		}
		for _, b := range blocks {
			missing[b]++
		}
		spans = spans[n:]
	}
	return missing, nil
}

func printBlocks(out io.Writer, blocks map[block]int) {
	sorted := slices.SortedFunc(maps.Keys(blocks), func(a, b block) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.function, b.function), cmp.Compare(a.text, b.text))
	})
	file := ""
	for _, b := range sorted {
		if b.file != file {
			file = b.file
			fmt.Fprintln(out, file)
		}
		fmt.Fprintln(out, b.line(blocks[b]))
	}
}

func packagesOf(blocks map[block]int) []string {
	dirs := map[string]bool{}
	for b := range blocks {
		dirs["./"+path.Dir(b.file)] = true
	}
	return slices.Sorted(maps.Keys(dirs))
}
