package negotiation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gocometd/cometd/bayeux"
)

// Choose is the first of mine that is also one of theirs. False: there is none,
// and no message should be sent. Types that only one side knows do no harm.
func Choose(mine, theirs []string) (string, bool) {
	for _, t := range mine {
		if slices.Contains(theirs, t) {
			return t, true
		}
	}
	return "", false
}

// CheckVersion says whether a peer that speaks version, and nothing older than
// minimum, can talk with us, who speak 1.0. Either may be empty, which says
// nothing. A peer with an older version, one that wants a newer one, or one
// whose version is not a number followed by dots and letters, is an error.
// The reference checks nothing; a server does so only when it is strict.
func CheckVersion(version, minimum string) error {
	ours, _ := parse(bayeux.Version)
	if version != "" {
		v, ok := parse(version)
		switch {
		case !ok:
			return fmt.Errorf("negotiation: version is malformed: %q", version)
		case slices.Compare(v, ours) < 0:
			return fmt.Errorf("negotiation: version is older than %s: %q", bayeux.Version, version)
		}
	}
	if minimum != "" {
		m, ok := parse(minimum)
		switch {
		case !ok:
			return fmt.Errorf("negotiation: minimum version is malformed: %q", minimum)
		case slices.Compare(m, ours) > 0:
			return fmt.Errorf("negotiation: minimum version is newer than %s: %q", bayeux.Version, minimum)
		}
	}
	return nil
}

// longest is how much of a version is looked at before it is malformed.
const longest = 32

// parse reads a version such as "1.0" or "1.0beta": the number at the beginning
// of each part counts, and zeros at the end do not.
func parse(s string) (numbers []int, ok bool) {
	if len(s) > longest {
		return nil, false
	}
	for i, part := range strings.Split(s, ".") {
		digits := len(part) - len(strings.TrimLeft(part, "0123456789"))
		if part == "" || i == 0 && digits < len(part) || strings.ContainsFunc(part[digits:], odd) {
			return nil, false
		}
		n, err := strconv.Atoi(part[:digits])
		if err != nil && digits > 0 {
			return nil, false
		}
		numbers = append(numbers, n)
	}
	for len(numbers) > 1 && numbers[len(numbers)-1] == 0 {
		numbers = numbers[:len(numbers)-1]
	}
	return numbers, true
}

func odd(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
}
