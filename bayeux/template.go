package bayeux

import (
	"fmt"
	"slices"
	"strings"
)

// A Template is a channel with variables, /news/{category}/{id}. It exists
// only where a server registers its listeners, never on the wire
// (docs/protocol.md §2). Templates never change.
type Template struct {
	text     string
	segments []string // a variable as "{name}"
}

// ParseTemplate checks s: a channel as for [ParseChannel] in which whole
// segments may be {name}. Names must differ; a wildcard is refused.
func ParseTemplate(s string) (Template, error) {
	c, err := ParseChannel(s)
	if err != nil {
		return Template{}, err
	}
	t := Template{string(c), strings.Split(string(c[1:]), "/")}
	for i, segment := range t.segments {
		name, ok := variable(segment)
		if ok && slices.Contains(t.segments[:i], segment) {
			return Template{}, fmt.Errorf("bayeux: template names %q twice: %s", name, printable(s, 64))
		}
		if !ok && strings.ContainsAny(segment, "{}") || ok && name == "" {
			return Template{}, fmt.Errorf("bayeux: template has a malformed variable: %s", printable(s, 64))
		}
	}
	return t, nil
}

// variable returns the name in "{name}".
func variable(segment string) (string, bool) {
	if len(segment) < 2 || segment[0] != '{' || segment[len(segment)-1] != '}' {
		return "", false
	}
	name := segment[1 : len(segment)-1]
	return name, !strings.ContainsAny(name, "{}")
}

func hasVariable(c string) bool {
	for segment := range strings.SplitSeq(c, "/") {
		if _, ok := variable(segment); ok {
			return true
		}
	}
	return false
}

// String returns the template as it was written, without a trailing slash.
func (t Template) String() string { return t.text }

// Match reports whether ch has the template's segments, and returns the text
// that stands for each variable. The map is nil if there are none.
func (t Template) Match(ch string) (map[string]string, bool) {
	if ch == "" || Channel(ch).Segments() != len(t.segments) || Channel(ch).IsWild() {
		return nil, false
	}
	rest := ch[1:]
	var vars map[string]string
	for _, want := range t.segments {
		var got string
		got, rest, _ = strings.Cut(rest, "/")
		name, ok := variable(want)
		switch {
		case !ok && got != want, got == "":
			return nil, false
		case ok && vars == nil:
			vars = make(map[string]string, len(t.segments))
			fallthrough
		case ok:
			vars[name] = got
		}
	}
	return vars, true
}

// Pattern returns the narrowest channel or pattern that matches all that the
// template does: a place to register it at. /news/{id} gives /news/*,
// /{area}/news gives /**, and a template without variables itself.
func (t Template) Pattern() Channel {
	n := 0
	for i, segment := range t.segments {
		if _, ok := variable(segment); ok {
			if i == len(t.segments)-1 {
				return Channel(t.text[:n] + "/*")
			}
			return Channel(t.text[:n] + "/**")
		}
		n += 1 + len(segment)
	}
	return Channel(t.text)
}
