package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// names are the exported names of a package: Name, and Type.Method and
// Type.Field.
func names(t *testing.T, dir string) map[string]bool {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	all := map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				all[receiver(d)+d.Name.Name] = true
			case *ast.GenDecl:
				for _, s := range d.Specs {
					add(all, s)
				}
			}
		}
	}
	return all
}

// receiver is "Type." of a method.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	typ := d.Recv.List[0].Type
	if p, ok := typ.(*ast.StarExpr); ok {
		typ = p.X
	}
	if id, ok := typ.(*ast.Ident); ok {
		return id.Name + "."
	}
	return ""
}

func add(all map[string]bool, s ast.Spec) {
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, n := range s.Names {
			all[n.Name] = true
		}
	case *ast.TypeSpec:
		all[s.Name.Name] = true
		var fields *ast.FieldList
		switch typ := s.Type.(type) {
		case *ast.StructType:
			fields = typ.Fields
		case *ast.InterfaceType:
			fields = typ.Methods
		default:
			return
		}
		for _, f := range fields.List {
			for _, n := range f.Names {
				all[s.Name.Name+"."+n.Name] = true
			}
		}
	}
}

var (
	row      = regexp.MustCompile(`(?m)^\|.*\| (.*) \|$`)
	ofPkg    = regexp.MustCompile(`\b(bayeux|client|codec|cometd|longpoll|replay|transport)\.([A-Z]\w*)`)
	ofType   = regexp.MustCompile(`\b([A-Z]\w*\.[A-Z]\w*)`)
	packages = map[string]string{"cometd": "..", "replay": "../ext/replay"}
)

// The pages that lead here from elsewhere name only what there is.
func TestTheNamesInTheMigrationPageExist(t *testing.T) {
	page, err := os.ReadFile("from-gobayeux.md")
	require.NoError(t, err)
	byPkg, anywhere := map[string]map[string]bool{}, map[string]bool{}
	for _, pkg := range []string{"bayeux", "client", "codec", "cometd", "longpoll", "replay", "transport"} {
		dir := packages[pkg]
		if dir == "" {
			dir = "../" + pkg
		}
		byPkg[pkg] = names(t, dir)
		for n := range byPkg[pkg] {
			anywhere[n] = true
		}
	}
	found := 0
	for _, r := range row.FindAllStringSubmatch(string(page), -1) {
		ours := r[1]
		for _, m := range ofPkg.FindAllStringSubmatch(ours, -1) {
			found++
			assert.True(t, byPkg[m[1]][m[2]], "there is no %s.%s", m[1], m[2])
		}
		for _, m := range ofType.FindAllString(ofPkg.ReplaceAllString(ours, ""), -1) {
			if strings.HasSuffix(m, ".Or") {
				continue // Advice.Interval.Or
			}
			found++
			assert.True(t, anywhere[m], "there is no %s", m)
		}
	}
	assert.Greater(t, found, 100)
}

// What each exported name of theirs, its methods and fields, is called here: in
// some row the left cell names it, with its type. testdata has the names of
// gobayeux v2.7.0 and cometd-client 0.3.6.
func TestTheMigrationPageHasEveryNameOfTheirs(t *testing.T) {
	page, err := os.ReadFile("from-gobayeux.md")
	require.NoError(t, err)
	ours, rust, ok := strings.Cut(string(page), "\n## cometd-client (Rust)\n")
	require.True(t, ok)
	for list, section := range map[string]string{"gobayeux.txt": ours, "cometd-client.txt": rust} {
		theirs, err := os.ReadFile(filepath.Join("testdata", list))
		require.NoError(t, err)
		rows := cellsOf(section)
		for name := range strings.FieldsSeq(string(theirs)) {
			if strings.ToLower(name) == name {
				continue // the package of the name that follows
			}
			assert.True(t, slices.ContainsFunc(rows, func(r map[string]bool) bool { return hasAll(r, name) }), "%s: there is no row for %s", list, name)
		}
	}
}

var (
	left = regexp.MustCompile(`(?m)^\| (.*?) \| `)
	code = regexp.MustCompile("`[^`]+`")
	word = regexp.MustCompile(`\w+`)
)

// cellsOf is the words in code of each row's left cell.
func cellsOf(section string) (rows []map[string]bool) {
	for _, m := range left.FindAllStringSubmatch(section, -1) {
		row := map[string]bool{}
		for _, c := range code.FindAllString(m[1], -1) {
			for _, w := range word.FindAllString(c, -1) {
				row[w] = true
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// hasAll reports whether a row names Type.Member, or Name.
func hasAll(row map[string]bool, name string) bool {
	for part := range strings.SplitSeq(name, ".") {
		if !row[part] && part != "CometdClientBuilder" { // whose table that is
			return false
		}
	}
	return true
}
