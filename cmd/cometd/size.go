package main

import (
	"fmt"
	"strconv"
	"strings"
)

// A size is a number of bytes: 262144, 256KiB, 1MiB or 1GiB.
type size int

// UnmarshalText lets a flag be a size.
func (s *size) UnmarshalText(text []byte) error {
	digits, unit := string(text), int64(1)
	for i, suffix := range []string{"KiB", "MiB", "GiB"} {
		if n, ok := strings.CutSuffix(digits, suffix); ok {
			digits, unit = n, 1<<(10*(i+1))
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if total := n * unit; err != nil || total/unit != n || int64(int(total)) != total {
		return fmt.Errorf("%q is no number of bytes, want such as 262144, 256KiB or 1MiB", text)
	}
	*s = size(n * unit)
	return nil
}
