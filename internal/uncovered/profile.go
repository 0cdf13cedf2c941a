package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A span is a run of statements, as a coverage profile has it.
type span struct {
	file             string // module path and all
	line, col        int
	endLine, endCol  int
	statements, runs int
}

// readProfiles adds up what tests have run. Each of several test binaries, and
// of several runs, has a line for each span.
func readProfiles(text string) ([]span, error) {
	runs := map[span]int{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "mode:") {
			continue
		}
		s, n, err := parseSpan(strings.TrimSpace(line))
		if err != nil {
			return nil, err
		}
		runs[s] += n
	}
	all := make([]span, 0, len(runs))
	for s, n := range runs {
		s.runs = n
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line), cmp.Compare(a.col, b.col))
	})
	return all, nil
}

// parseSpan reads file:line.col,line.col statements runs.
func parseSpan(text string) (s span, runs int, err error) {
	file, rest, _ := strings.Cut(text, ":")
	s.file = file
	if _, err := fmt.Sscanf(rest, "%d.%d,%d.%d %d %d", &s.line, &s.col, &s.endLine, &s.endCol, &s.statements, &runs); err != nil {
		return s, 0, fmt.Errorf("not of a coverage profile: %q", text)
	}
	return s, runs, nil
}
