package main

import (
	"fmt"
	"strconv"
	"strings"
)

// A size is a number of bytes: 262144, 256KiB or 1MiB.
type size int

// UnmarshalText lets a flag be a size.
func (s *size) UnmarshalText(text []byte) error {
	digits, unit := string(text), 1
	for suffix, bytes := range map[string]int{"KiB": 1 << 10, "MiB": 1 << 20} {
		if n, ok := strings.CutSuffix(digits, suffix); ok {
			digits, unit = n, bytes
		}
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return fmt.Errorf("%q is no number of bytes, want such as 262144, 256KiB or 1MiB", text)
	}
	*s = size(n) * size(unit)
	return nil
}
