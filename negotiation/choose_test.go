package negotiation

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gocometd/cometd/internal/fuzzing"
)

func TestChooseTakesTheFirstOfMineThatIsTheirs(t *testing.T) {
	for _, c := range []struct {
		mine, theirs, want string
	}{
		{"websocket long-polling", "websocket long-polling callback-polling", "websocket"},
		{"websocket long-polling", "long-polling websocket", "websocket"},
		{"long-polling websocket", "websocket long-polling", "long-polling"},
		{"websocket long-polling", "cross-origin-long-polling eventsource long-polling", "long-polling"}, // Faye
		{"websocket", "long-polling", ""},
		{"websocket", "", ""},
		{"", "websocket", ""},
	} {
		got, ok := Choose(strings.Fields(c.mine), strings.Fields(c.theirs))
		assert.Equal(t, c.want, got, "%q with %q", c.mine, c.theirs)
		assert.Equal(t, c.want != "", ok, "%q with %q", c.mine, c.theirs)
	}
}

func TestCheckVersionRefusesOnlyWhatCannotWork(t *testing.T) {
	for _, c := range []struct{ version, minimum, want string }{
		{"1.0", "1.0", ""},
		{"1.0", "", ""}, // Java, Faye and gobayeux send no minimum
		{"", "", ""},
		{"1", "1", ""},
		{"1.0.0", "0.9", ""},
		{"1.0beta", "1.0-rc_1", ""},
		{"1.1", "1.0", ""},
		{"2.0", "1.0", ""},
		{"10.0", "", ""},
		{"2.0", "2.0", `negotiation: minimum version is newer than 1.0: "2.0"`},
		{"1.1", "1.0.1", `negotiation: minimum version is newer than 1.0: "1.0.1"`},
		{"0.1", "9", `negotiation: version is older than 1.0: "0.1"`},
		{"0.9", "", `negotiation: version is older than 1.0: "0.9"`},
		{"x", "", `negotiation: version is malformed: "x"`},
		{"1.", "", `negotiation: version is malformed: "1."`},
		{"1.0 ", "", `negotiation: version is malformed: "1.0 "`},
		{"1.0", "-1", `negotiation: minimum version is malformed: "-1"`},
		{"99999999999999999999.0", "", `negotiation: version is malformed: "99999999999999999999.0"`},
	} {
		err := CheckVersion(c.version, c.minimum)
		if c.want == "" {
			assert.NoError(t, err)
			continue
		}
		assert.EqualError(t, err, c.want)
	}
}

// Whatever a peer says its version is, the answer names it and is the same for
// the same version written longer.
func FuzzCheckVersion(f *testing.F) {
	f.Add("1.0", "1.0")
	f.Add("0.1", "9")
	f.Add("1.0beta.2", "")
	f.Add("..", "1..0")
	f.Add("1.\xff", "é")
	f.Fuzz(func(t *testing.T, version, minimum string) {
		fuzzing.Watch(t)
		err := CheckVersion(version, minimum)
		if err != nil && !strings.HasPrefix(err.Error(), "negotiation: ") {
			t.Errorf("%q does not say who speaks", err)
		}
		if version == "" || minimum == "" || len(version) > 20 || len(minimum) > 20 {
			return
		}
		if longer := CheckVersion(version+".0", minimum+".0"); (longer == nil) != (err == nil) {
			t.Errorf("CheckVersion(%q, %q) = %v, with .0 behind them %v", version, minimum, err, longer)
		}
	})
}

// Whatever two peers offer each other: what is chosen is offered by both, is the
// first that is, and there is none only if they share nothing.
func FuzzChoose(f *testing.F) {
	f.Add("websocket,long-polling", "long-polling,websocket")
	f.Add("websocket", "")
	f.Add("", ",")
	f.Add("a,b,a", "c,a,a")
	f.Fuzz(func(t *testing.T, mine, theirs string) {
		fuzzing.Watch(t)
		ours, yours := strings.Split(mine, ","), strings.Split(theirs, ",")
		chosen, ok := Choose(ours, yours)
		shared := slices.DeleteFunc(ours, func(typ string) bool { return !slices.Contains(yours, typ) })
		if ok != (len(shared) > 0) || ok && chosen != shared[0] {
			t.Errorf("Choose(%q, %q) = %q, %t; they share %q", mine, theirs, chosen, ok, shared)
		}
	})
}
