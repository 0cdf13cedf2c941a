package cometd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// unranked has the folders whose mutexes have no place in the order of
// internal/lock, and why.
var unranked = map[string]string{
	"internal/lock":  "is made of them",
	"internal/fault": "only tests run it, and it lies outside of what it harms",
	"cometdtest":     "only tests run it, beside the locks of the ends, with none of which it shares a call",
	"hostile":        "is tests",
	"interop":        "is tests, and programs of modules of their own",
	"cmd/cometd":     "a program: what its locks guard asks neither end for anything",
	"bench":          "programs that measure",
	"examples":       "show what users write, and those have no internal packages",
}

// All locks of the packages that programs are built of stand in one order, which
// a build with the tag lockcheck keeps an eye on.
func TestEveryMutexHasItsPlaceInTheOrder(t *testing.T) {
	ranks := declared(t, "internal/lock/rank.go")
	used := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			hidden := path != "." && strings.HasPrefix(d.Name(), ".")
			if _, ok := unranked[filepath.ToSlash(path)]; ok || hidden || d.Name() == "testdata" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		for _, name := range selected(t, path) {
			assert.NotRegexp(t, `^sync\.(RW)?Mutex$`, name, "%s: give it a place in internal/lock/rank.go", path)
			if rank, ok := strings.CutPrefix(name, "lock."); ok {
				used[rank] = true
			}
		}
		return nil
	})
	require.NoError(t, err)
	for _, r := range ranks {
		assert.True(t, used[r], "nothing has the place lock.%s", r)
	}
	require.Greater(t, len(ranks), 40)
}

// selected are the names in a file that come after a dot, such as sync.Mutex, and
// .Unlock if it is not a name that the dot comes after.
func selected(t *testing.T, path string) (all []string) {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			var of string
			if x, ok := s.X.(*ast.Ident); ok {
				of = x.Name
			}
			all = append(all, of+"."+s.Sel.Name)
		}
		return true
	})
	return all
}

// declared are the places that stand in the order. Each says whose it is.
func declared(t *testing.T, path string) (ranks []string) {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	whose := regexp.MustCompile(`^[a-z/]+: \w+\.\w+`)
	ast.Inspect(f, func(n ast.Node) bool {
		s, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if _, ok := s.Type.(*ast.StructType); ok {
			ranks = append(ranks, s.Name.Name)
			assert.Regexp(t, whose, strings.TrimSpace(s.Comment.Text()), "whose place %s is", s.Name.Name)
		}
		return true
	})
	return ranks
}
