package bayeux

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Channel is a channel name, or a pattern such as /a/* or /a/**. Convert a
// checked string to it to ask questions; Channels compare with ==.
//
// docs/protocol.md §2 has the grammar and the matching.
type Channel string

// A Kind tells how messages on a channel are treated.
type Kind int8

const (
	Broadcast Kind = iota // delivered to all subscribers
	Service               // /service/…: between one client and the server
	Meta                  // /meta/…: the protocol's own
)

// String returns "broadcast", "service" or "meta".
func (k Kind) String() string {
	switch k {
	case Broadcast:
		return "broadcast"
	case Service:
		return "service"
	case Meta:
		return "meta"
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// ParseChannel checks s as a server does that is asked to publish to it: the
// reference server's characters (ASCII letters, digits, space and
// !#$()*+-./@_{}~), no empty segment, no wildcard. Spaces around it, one
// trailing slash and spaces before that are dropped: /foo/ is /foo. How long a
// channel may be is the server's own limit; see [Channel.Segments].
//
// A client asks [ParseRemote] instead.
func ParseChannel(s string) (Channel, error) {
	c, err := ParsePattern(s)
	if err == nil && c.IsWild() {
		return "", fmt.Errorf("bayeux: channel has a wildcard: %s", printable(s, 64))
	}
	return c, err
}

// ParsePattern is ParseChannel for a subscription or a listener: the last
// segment may be * (one more segment) or ** (one or more). A wildcard
// anywhere else, or beside a {variable}, is refused.
func ParsePattern(s string) (Channel, error) {
	c := strings.Trim(strings.TrimSuffix(strings.Trim(s, " "), "/"), " ")
	for i := range len(c) {
		if !legal[c[i]] {
			return "", fmt.Errorf("bayeux: channel has an illegal character at %d: %s", i, printable(s, 64))
		}
	}
	if err := checkSegments(c); err != nil {
		return "", fmt.Errorf("bayeux: %w: %s", err, printable(s, 64))
	}
	if Channel(c).IsWild() && hasVariable(c) {
		return "", fmt.Errorf("bayeux: channel has both a wildcard and a variable: %s", printable(s, 64))
	}
	return Channel(c), nil
}

// ParseRemote checks a channel or pattern that another server will judge, and
// refuses only what no server takes: it must begin with a slash, be UTF-8
// without control characters, have no empty segment and no wildcard but the
// last. All after a question mark is a filter that only the server
// understands, /topic/T?Field='x'; see [Channel.WithoutFilter].
func ParseRemote(s string) (Channel, error) {
	for i, r := range s {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return "", fmt.Errorf("bayeux: channel has an illegal character at %d: %s", i, printable(s, 64))
		}
	}
	path, filter, filtered := strings.Cut(s, "?")
	path = strings.TrimSuffix(path, "/")
	if err := checkSegments(path); err != nil {
		return "", fmt.Errorf("bayeux: %w: %s", err, printable(s, 64))
	}
	if filtered {
		path += "?" + filter
	}
	return Channel(path), nil
}

type segmentError string

func (e segmentError) Error() string { return string(e) }

// checkSegments holds what every grammar of channels agrees on.
func checkSegments(c string) error {
	if c == "" {
		return segmentError("channel has no segment")
	}
	if c[0] != '/' {
		return segmentError("channel does not begin with a slash")
	}
	for rest, more := c[1:], true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if segment == "" {
			return segmentError("channel has an empty segment")
		}
		if more && (segment == "*" || segment == "**") {
			return segmentError("channel has a wildcard before its last segment")
		}
	}
	return nil
}

// legal is the reference's table of characters.
var legal = func() (t [256]bool) {
	for _, c := range []byte(" !#$()*+-./0123456789@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz{}~") {
		t[c] = true
	}
	return t
}()

// Kind returns what the first segment says.
func (c Channel) Kind() Kind {
	switch {
	case under(c, "/meta"):
		return Meta
	case under(c, "/service"):
		return Service
	}
	return Broadcast
}

// under reports whether c is root or a channel below it.
func under(c Channel, root string) bool {
	return strings.HasPrefix(string(c), root) && (len(c) == len(root) || c[len(root)] == '/')
}

// IsWild reports whether the last segment is a wildcard.
func (c Channel) IsWild() bool {
	return strings.HasSuffix(string(c), "/*") || strings.HasSuffix(string(c), "/**")
}

// Match reports whether c, taken as a pattern, matches ch. /a/* matches
// exactly one more segment, /a/** one or more, neither matches /a. Without a
// wildcard, and between two patterns, only equality counts.
//
// It looks at segments alone, so /** matches /service/x and /meta/connect too,
// as a server's listeners and authorizers want it. Subscribers of /** get
// broadcast channels only; who serves them asks Kind.
//
// Both sides must be as the Parse functions return them. Match allocates
// nothing.
func (c Channel) Match(ch string) bool {
	if string(c) == ch {
		return true
	}
	prefix, deep := strings.CutSuffix(string(c), "/**")
	if !deep {
		var wild bool
		if prefix, wild = strings.CutSuffix(string(c), "/*"); !wild {
			return false
		}
	}
	if len(ch) < len(prefix)+2 || ch[:len(prefix)] != prefix || ch[len(prefix)] != '/' || Channel(ch).IsWild() {
		return false
	}
	return deep || strings.IndexByte(ch[len(prefix)+1:], '/') < 0
}

// Covers reports whether c, taken as a pattern, matches every channel that p
// does, itself a channel or a pattern: /a/** covers /a/b as Match has it, and
// also /a/*, /a/b/** and itself. Whoever judges subscriptions asks it, because
// for a subscription to /a/* Match with /a/** is false. Both sides must be as
// the Parse functions return them. Covers allocates nothing.
func (c Channel) Covers(p string) bool {
	if under, deep := strings.CutSuffix(string(c), "**"); deep && strings.HasSuffix(under, "/") {
		return len(p) > len(under) && strings.HasPrefix(p, under)
	}
	return c.Match(p)
}

// Patterns yields all patterns that match c, from the root to the leaf: for
// /a/b they are /**, /a/**, /a/* and /a/b itself. A pattern yields only
// itself. As with Match, /** is among them whatever the kind of c. Each is a copy:
// of a channel that was not checked they may be as many as it has bytes, and their
// bytes the square of that.
func (c Channel) Patterns(yield func(string) bool) {
	if c.IsWild() {
		yield(string(c))
		return
	}
	last := strings.LastIndexByte(string(c), '/')
	for i := 0; i <= last; i++ {
		if c[i] == '/' && !yield(string(c[:i])+"/**") {
			return
		}
	}
	if last < 0 || yield(string(c[:last])+"/*") {
		yield(string(c))
	}
}

// Segments returns the number of segments: 2 for /a/b. Together with len it
// is what a server's limits on channels need.
func (c Channel) Segments() int { return strings.Count(string(c), "/") }

// WithoutFilter returns c up to the first question mark. Some servers take
// filters in a subscription, /topic/T?Field=Value, and deliver on the bare
// channel, /topic/T (docs/protocol.md §17).
func (c Channel) WithoutFilter() Channel {
	path, _, _ := strings.Cut(string(c), "?")
	return Channel(path)
}
