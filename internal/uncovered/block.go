package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
)

// A block is a span under a name that stays when lines move: its function, and
// the text of where it begins.
type block struct {
	file, function, text string
}

// whole is the text of a function that nothing runs.
const whole = "(all of it)"

// blocksOf names the spans of one file that were not run. A name may be there
// several times.
func blocksOf(name string, spans []span) ([]block, error) {
	source, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(source), "\n")
	var all []block
	for _, d := range f.Decls {
		begin, end := set.Position(d.Pos()).Line, set.Position(d.End()).Line
		var own []block
		run := false
		for _, s := range spans {
			if s.line < begin || s.line > end {
				continue
			}
			if run = run || s.runs > 0; s.runs == 0 && s.statements > 0 {
				own = append(own, block{name, functionName(d), textOf(lines, s)})
			}
		}
		if len(own) > 0 && !run {
			own = []block{{name, functionName(d), whole}}
		}
		all = append(all, own...)
	}
	return all, nil
}

func functionName(d ast.Decl) string {
	fd, ok := d.(*ast.FuncDecl)
	if !ok {
		return "(outside of functions)"
	}
	if fd.Recv == nil {
		return fd.Name.Name
	}
	typ := fd.Recv.List[0].Type
	if p, ok := typ.(*ast.StarExpr); ok {
		typ = p.X
	}
	if x, ok := typ.(*ast.IndexExpr); ok { // of a type with parameters
		typ = x.X
	}
	if id, ok := typ.(*ast.Ident); ok {
		return id.Name + "." + fd.Name.Name
	}
	return fd.Name.Name
}

// textOf is the first statement of a span, after what leads to it.
func textOf(lines []string, s span) string {
	at := func(line int) string {
		if line < 1 || line > len(lines) {
			return ""
		}
		return strings.TrimSpace(lines[line-1])
	}
	rest := strings.TrimSpace(lines[s.line-1][min(s.col-1, len(lines[s.line-1])):])
	if rest != "" && rest != "{" {
		return at(s.line)
	}
	text := at(s.line)
	if text == "if err != nil {" {
		text = at(s.line-1) + "; " + text
	}
	for next := s.line + 1; next <= s.endLine; next++ {
		if first := at(next); first != "" && !strings.HasPrefix(first, "//") {
			return text + " " + first
		}
	}
	return text
}
