package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/gocometd/cometd/bayeux"
)

// A Listener sees messages that clients and the server publish, before any
// subscriber: it may change the message, which the next one then gets so, and
// clones it to keep it. It refuses the message by returning an error
// ([*bayeux.Error] as it is, else 404::message_deleted). s is nil for the server's
// own. Listeners run from the root pattern to the channel itself, those of one
// pattern in the order they were added; for messages of different sessions, and of
// the server, at once.
type Listener func(ctx context.Context, s *Session, m *bayeux.Message) error

// Handle adds a listener to all broadcast and service channels that match
// pattern, and returns what removes it. pattern is a channel, a wildcard, or a
// template such as /news/{category}/{id}, whose variables [Param] gives. It
// panics if pattern is illegal or f is nil.
func (srv *Server) Handle(pattern string, f Listener) (remove func()) {
	mustFunc(f != nil, "listener")
	x := &rule[Listener]{f: f}
	if strings.Contains(pattern, "{") {
		t, err := bayeux.ParseTemplate(pattern)
		if err != nil {
			panic(fmt.Sprintf("server: %v", err))
		}
		x.at, x.vars = t.String(), &t
		x.match = func(ch string) bool { _, ok := t.Match(ch); return ok }
	} else {
		p := mustPattern(pattern)
		x.at, x.match = string(p), p.Match
	}
	return attach(&srv.channels, &srv.channels.rules.listeners, x)
}

// Param returns the value of a variable of the template that a [Listener] was
// added for, "" if there is none of that name.
func Param(ctx context.Context, name string) string {
	vars, _ := ctx.Value(varsKey{}).(map[string]string)
	return vars[name]
}

// context adds the variables of a template.
func (x *rule[F]) context(ctx context.Context, ch string) context.Context {
	if x.vars == nil {
		return ctx
	}
	vars, _ := x.vars.Match(ch)
	return context.WithValue(ctx, varsKey{}, vars)
}
