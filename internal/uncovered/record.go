package main

import (
	"fmt"
	"strconv"
	"strings"
)

// A record has the blocks that no test runs, with the reasons.
//
//	== why the blocks below are not run
//	path/of/file.go
//		Type.method: the text of the block
//		~ function: one that is run now and then
//		function: text that is there twice ×2
type record struct {
	blocks    map[block]int
	sometimes map[block]bool
}

func readRecord(in string) (*record, error) {
	r := &record{map[block]int{}, map[block]bool{}}
	reason, file, number := "", "", 0
	for text := range strings.Lines(in) {
		text = strings.TrimRight(text, "\n")
		number++
		switch {
		case text == "" || strings.HasPrefix(text, "#"):
		case strings.HasPrefix(text, "== "):
			reason, file = text, ""
		case text[0] != '\t':
			file = text
		default:
			b, times, now, ok := parseBlock(file, text)
			if !ok || reason == "" || file == "" {
				return nil, fmt.Errorf("line %d: want a reason, a file, and below them function: text, not %q", number, text)
			}
			r.blocks[b] += times
			r.sometimes[b] = r.sometimes[b] || now
		}
	}
	return r, nil
}

func parseBlock(file, text string) (b block, times int, sometimes, ok bool) {
	text, sometimes = strings.CutPrefix(strings.TrimSpace(text), "~ ")
	times = 1
	if head, count, found := cutLast(text, " ×"); found {
		if n, err := strconv.Atoi(count); err == nil {
			text, times = head, n
		}
	}
	function, text, ok := strings.Cut(text, ": ")
	return block{file, function, text}, times, sometimes, ok
}

func cutLast(text, sep string) (before, after string, found bool) {
	i := strings.LastIndex(text, sep)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(sep):], true
}

// line is a block as a record has it.
func (b block) line(times int) string {
	text := "\t" + b.function + ": " + b.text
	if times > 1 {
		text += fmt.Sprintf(" ×%d", times)
	}
	return text
}
