package bayeux

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/internal/fuzzing"
)

func TestParseFollowsTheReference(t *testing.T) {
	type verdict struct{ channel, pattern, remote string } // "" is refused
	for in, want := range map[string]verdict{
		"/foo":              {"/foo", "/foo", "/foo"},
		"/foo/":             {"/foo", "/foo", "/foo"},
		" /foo ":            {"/foo", "/foo", ""},
		"/foo /":            {"/foo", "/foo", "/foo "}, // where we differ
		" /foo / ":          {"/foo", "/foo", ""},
		"/foo //":           {},
		"/a b!#$()+-.@_{}~": {"/a b!#$()+-.@_{}~", "/a b!#$()+-.@_{}~", "/a b!#$()+-.@_{}~"},
		"/a*b":              {"/a*b", "/a*b", "/a*b"},
		"/foo/*":            {"", "/foo/*", "/foo/*"},
		"/foo/**":           {"", "/foo/**", "/foo/**"},
		"/**":               {"", "/**", "/**"},
		"/*":                {"", "/*", "/*"},
		"/**/":              {"", "/**", "/**"},
		"/foo/{id}":         {"/foo/{id}", "/foo/{id}", "/foo/{id}"},
		"/foo/{id}/*":       {"", "", "/foo/{id}/*"},
		"/a/*/b":            {},
		"/a/**/b":           {},
		"/a//b":             {},
		"/a//":              {},
		"//":                {},
		"/":                 {},
		"":                  {},
		"foo":               {},
		"/a\nb":             {},
		"/a\x00":            {},
		"/a\x7f":            {},
		"/a\xff":            {},
		"/é":                {"", "", "/é"},
		"/topic/T?F='x/y'":  {"", "", "/topic/T?F='x/y'"},
		"/topic/T?u=//h/*":  {"", "", "/topic/T?u=//h/*"},
		"/topic/*/T?F=1":    {},
	} {
		c, err := ParseChannel(in)
		assert.Equal(t, want.channel, string(c), "ParseChannel(%q): %v", in, err)
		assert.Equal(t, want.channel == "", err != nil)
		c, err = ParsePattern(in)
		assert.Equal(t, want.pattern, string(c), "ParsePattern(%q): %v", in, err)
		assert.Equal(t, want.pattern == "", err != nil)
		c, err = ParseRemote(in)
		assert.Equal(t, want.remote, string(c), "ParseRemote(%q): %v", in, err)
		assert.Equal(t, want.remote == "", err != nil)
	}
}

func TestEveryOtherCharacterIsRefused(t *testing.T) {
	const allowed = " !#$()*+-./0123456789@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz{}~"
	for c := range 256 {
		_, err := ParsePattern("/a" + string([]byte{byte(c)}) + "b")
		assert.Equal(t, strings.IndexByte(allowed, byte(c)) >= 0, err == nil, "%q", c)
	}
}

func TestKindIsTheFirstSegment(t *testing.T) {
	for in, want := range map[Channel]Kind{
		"/meta/connect": Meta, "/meta/**": Meta, "/meta": Meta, "/service/x": Service, "/service": Service,
		"/metal": Broadcast, "/services/x": Broadcast, "/a/meta/b": Broadcast, "/**": Broadcast, "": Broadcast,
	} {
		assert.Equal(t, want, in.Kind(), in)
	}
	assert.Equal(t, "broadcast service meta Kind(9)", strings.Join([]string{Broadcast.String(), Service.String(), Meta.String(), Kind(9).String()}, " "))
}

func TestPatternsGoFromRootToLeaf(t *testing.T) {
	for ch, want := range map[Channel]string{
		"/a/b/c":  "/** /a/** /a/b/** /a/b/* /a/b/c",
		"/a":      "/** /* /a",
		"/a/*":    "/a/*",
		"/meta/x": "/** /meta/** /meta/* /meta/x",
	} {
		assert.Equal(t, want, strings.Join(slices.Collect(ch.Patterns), " "))
	}
	for n := range 5 { // a consumer may stop anywhere
		var got []string
		for p := range Channel("/a/b/c").Patterns {
			if got = append(got, p); len(got) > n {
				break
			}
		}
		assert.Len(t, got, n+1)
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern Channel
		yes, no string
	}{
		{"/a/b", "/a/b", "/a /a/b/c /a/* /a/c"},
		{"/a/*", "/a/b /a/x /a/*", "/a /a/b/c /ab /a/** /b/a /ab/c"},
		{"/a/**", "/a/b /a/b/c /a/**", "/a /ab/c /a/* /a/b/* /b"},
		{"/**", "/a /a/b /service/x /meta/connect /**", "/* /a/**"},
		{"/*", "/a /*", "/a/b /**"},
	} {
		for ch := range strings.FieldsSeq(c.yes) {
			assert.True(t, c.pattern.Match(ch), "%s %s", c.pattern, ch)
		}
		for ch := range strings.FieldsSeq(c.no) {
			assert.False(t, c.pattern.Match(ch), "%s %s", c.pattern, ch)
		}
	}
	assert.False(t, Channel("/a/**").Match("/a/"))
	assert.False(t, Channel("").Match("/a"))
	assert.False(t, Channel("/**").Match(""))
}

func TestADeepPatternCoversThePatternsBelowIt(t *testing.T) {
	for _, c := range []struct {
		pattern Channel
		yes, no string
	}{
		{"/a/b", "/a/b", "/a /a/b/c /a/* /a/** /**"},
		{"/a/*", "/a/b /a/*", "/a /a/b/c /a/** /a/b/* /** /ab"},
		{"/a/**", "/a/b /a/b/c /a/* /a/b/* /a/b/** /a/**", "/a /ab/c /ab/* /* /** /b"},
		{"/**", "/a /a/b /* /a/* /a/** /**", ""},
		{"/*", "/a /*", "/a/b /** /a/*"},
		{"/a**", "/a**", "/ab /a/b"},
	} {
		for p := range strings.FieldsSeq(c.yes) {
			assert.True(t, c.pattern.Covers(p), "%s %s", c.pattern, p)
		}
		for p := range strings.FieldsSeq(c.no) {
			assert.False(t, c.pattern.Covers(p), "%s %s", c.pattern, p)
		}
	}
	assert.False(t, Channel("/a/**").Covers("/a/"))
	assert.False(t, Channel("").Covers("/a"))
}

func TestMatchAndCoversAllocateNothing(t *testing.T) {
	n := testing.AllocsPerRun(100, func() {
		Channel("/stock/nasdaq/**").Covers("/stock/nasdaq/*")
		Channel("/stock/nasdaq/**").Match("/stock/nasdaq/tech/goog")
		Channel("/stock/*").Match("/stock/goog")
	})
	assert.Zero(t, n)
}

func TestSegmentsAndFilter(t *testing.T) {
	assert.Equal(t, 3, Channel("/a/b/c").Segments())
	assert.Equal(t, 1, Channel("/**").Segments())
	assert.Equal(t, Channel("/topic/T"), Channel("/topic/T?A=1&B='?'").WithoutFilter())
	assert.Equal(t, Channel("/topic/T"), Channel("/topic/T").WithoutFilter())
}

func TestTemplateNamesItsSegments(t *testing.T) {
	tpl, err := ParseTemplate("/news/{category}/{id}/")
	require.NoError(t, err)
	assert.Equal(t, "/news/{category}/{id}", tpl.String())
	vars, ok := tpl.Match("/news/sport/7")
	assert.True(t, ok)
	assert.Equal(t, map[string]string{"category": "sport", "id": "7"}, vars)
	for _, ch := range []string{"/news/sport", "/news/sport/7/8", "/olds/sport/7", "/news//7", "/news/sport/", "/news/sport/*", "/news/sport/**", "", "/"} {
		_, ok := tpl.Match(ch)
		assert.False(t, ok, ch)
	}
	for _, bad := range []string{"", "/a/{x}/{x}", "/a/{}", "/a/x{y}", "/a/{x}y", "/a/{{x}}", "/a/{x}/*", "/a/*", "/a//{x}", "/a/{"} {
		_, err := ParseTemplate(bad)
		assert.Error(t, err, bad)
	}
}

func TestTemplatePatternCoversTheTemplate(t *testing.T) {
	for in, want := range map[string]Channel{
		"/news/{id}": "/news/*", "/{id}": "/*", "/{a}/{b}": "/**", "/a/{b}/c": "/a/**", "/a/{b}/{c}": "/a/**", "/a/b": "/a/b",
	} {
		tpl, err := ParseTemplate(in)
		require.NoError(t, err)
		assert.Equal(t, want, tpl.Pattern(), in)
		ch := strings.NewReplacer("{", "", "}", "").Replace(in)
		_, ok := tpl.Match(ch)
		assert.True(t, ok, ch)
		assert.True(t, want.Match(ch), ch)
	}
	plain, err := ParseTemplate("/a/b")
	require.NoError(t, err)
	vars, ok := plain.Match("/a/b")
	assert.True(t, ok)
	assert.Nil(t, vars)
}

// matches is Match said once more, by segments.
func matches(pattern, ch string) bool {
	p, c := strings.Split(pattern, "/"), strings.Split(ch, "/")
	last := p[len(p)-1]
	if pattern == ch {
		return true
	}
	if wild := c[len(c)-1]; wild == "*" || wild == "**" || last != "*" && last != "**" {
		return false
	}
	n := len(p) - 1
	return len(c) > n && slices.Equal(p[:n], c[:n]) && (last == "**" || len(c) == n+1)
}

// Whatever parses keeps its promises: it parses to itself, it matches what the
// plain rule says, and its patterns are those that match it.
func FuzzChannel(f *testing.F) {
	for _, s := range []string{"/a/b", "/a/*", "/a/**", "/**", "/a//b", "/a/", " /a ", "/{x}/y", "/meta/connect", "/a/*/b", "/é", "/t?a=/*", "/a*/**", "/***"} {
		f.Add(s, "/a/b")
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		fuzzing.Watch(t)
		if r, err := ParseRemote(pattern); err == nil {
			again, err := ParseRemote(string(r))
			if err != nil || again != r {
				t.Fatalf("ParseRemote(%q) = %q, and again %q, %v", pattern, r, again, err)
			}
		}
		p, err := ParsePattern(pattern)
		if err != nil {
			return
		}
		if again, err := ParsePattern(string(p)); err != nil || again != p {
			t.Fatalf("ParsePattern(%q) = %q, and again %q, %v", pattern, p, again, err)
		}
		if _, err := ParseRemote(string(p)); err != nil {
			t.Fatalf("a server takes %q, a client refuses it: %v", p, err)
		}
		c, err := ParseChannel(name)
		if err != nil {
			return
		}
		if got, want := p.Match(string(c)), matches(string(p), string(c)); got != want {
			t.Fatalf("%q.Match(%q) = %v", p, c, got)
		}
		if got := slices.Contains(slices.Collect(c.Patterns), string(p)); got != p.Match(string(c)) {
			t.Fatalf("%q among the patterns of %q: %v", p, c, got)
		}
		if tpl, err := ParseTemplate(pattern); err == nil {
			if _, ok := tpl.Match(string(c)); ok && !tpl.Pattern().Match(string(c)) {
				t.Fatalf("%q matches %q, its pattern %q does not", tpl, c, tpl.Pattern())
			}
		}
	})
}
