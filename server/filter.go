package server

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"regexp"

	"github.com/gocometd/cometd/bayeux"
)

// A Filter changes, or refuses, the data that clients publish, before
// listeners and subscribers see it. It gets the data as encoding/json decodes
// it into an any, with numbers as json.Number, and returns what to publish in
// its place. An error refuses the message, and reaches the client as that of a
// [Listener] does. Many goroutines call it.
type Filter func(ctx context.Context, s *Session, data any) (any, error)

// Filter adds filters for what clients publish on the channels that match
// pattern, to run in this order, and returns what removes them. It panics if
// pattern is illegal or a template, or a filter is nil.
func (srv *Server) Filter(pattern string, filters ...Filter) (remove func()) {
	p := mustPattern(pattern)
	for _, f := range filters {
		mustFunc(f != nil, "filter")
	}
	chain := func(ctx context.Context, from *Session, data any) (_ any, err error) {
		for _, f := range filters {
			if data, err = f(ctx, from, data); err != nil {
				return nil, err
			}
		}
		return data, nil
	}
	return attach(&srv.channels, &srv.channels.rules.filters, &rule[Filter]{match: p.Match, at: string(p), f: chain})
}

// Strings makes a [Filter] that applies f to every string in the data, at any
// depth, the values of objects but not their keys. It panics if f is nil.
func Strings(f func(string) (string, error)) Filter {
	mustFunc(f != nil, "filter")
	return func(_ context.Context, _ *Session, data any) (any, error) { return mapStrings(data, f) }
}

// NoMarkup is a [Filter] that escapes the characters which mean something in
// HTML (< > & ' "), so that text stays text wherever it is shown.
func NoMarkup() Filter {
	return Strings(func(s string) (string, error) { return html.EscapeString(s), nil })
}

var script = regexp.MustCompile(`(?is)<\s*/?\s*script[^>]*>?`)

// NoScripts is a [Filter] that takes script tags out of strings. It is no
// protection against hostile markup in general: use [NoMarkup] for that, and
// escape where text is shown.
func NoScripts() Filter { return Replace(script, "") }

// Replace is a [Filter] that replaces what matches re in every string, until
// nothing does, so that no match can be put together from what is left. A string
// that still matches after 32 passes, or has become more than twice as long as
// after the first, is refused with 403::data_rejected. replacement may refer to
// groups as regexp.Expand does; if it matches re itself, one pass is made.
func Replace(re *regexp.Regexp, replacement string) Filter {
	again := !re.MatchString(replacement)
	return Strings(func(s string) (string, error) {
		s = re.ReplaceAllString(s, replacement)
		most := 2 * len(s)
		for pass := 1; again && re.MatchString(s); pass++ {
			if pass == mostPasses || len(s) > most {
				return "", rejected()
			}
			s = re.ReplaceAllString(s, replacement)
		}
		return s, nil
	})
}

const mostPasses = 32

func rejected() error { return &bayeux.Error{Code: 403, Message: "data_rejected"} }

// Reject is a [Filter] that refuses data with a string that matches re, with
// 403::data_rejected.
func Reject(re *regexp.Regexp) Filter {
	return Strings(func(s string) (string, error) {
		if re.MatchString(s) {
			return "", rejected()
		}
		return s, nil
	})
}

// apply runs a filter over a message's data.
func (f Filter) apply(ctx context.Context, s *Session, m *bayeux.Message) error {
	if m.Data == nil || s == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(m.Data))
	d.UseNumber()
	var data any
	if err := d.Decode(&data); err != nil {
		return err
	}
	data, err := f(ctx, s, data)
	if err != nil {
		return err
	}
	return m.SetData(data)
}

// mapStrings changes data in place; its depth is bounded by Limits.DataDepth.
func mapStrings(data any, f func(string) (string, error)) (_ any, err error) {
	switch data := data.(type) {
	case string:
		return f(data)
	case []any:
		for i := range data {
			if data[i], err = mapStrings(data[i], f); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range data {
			if data[k], err = mapStrings(data[k], f); err != nil {
				return nil, err
			}
		}
	}
	return data, nil
}
