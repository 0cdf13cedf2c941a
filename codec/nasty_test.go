package codec

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A nasty input is one that some JSON library gets wrong.
type nasty struct {
	name, in string
	accept   bool
}

func inData(v string) string { return `[{"channel":"/a","data":` + v + `}]` }

func nest(n int, open, inside, shut string) string {
	return strings.Repeat(open, n) + inside + strings.Repeat(shut, n)
}

func nastyInputs() []nasty {
	cases := []nasty{
		{"plain", inData(`{"x":1}`), true},
		{"lone object", `{"channel":"/a","data":1}`, true},
		{"empty array", ` [ ] `, true},
		{"empty message", `[{}]`, true},
		{"empty lone message", ` { } `, true},
		{"escaped key", `[{"cha\u006enel":"/a","data":1}]`, true},
		{"duplicate inside data", inData(`{"x":1,"x":2}`), true},
		{"duplicate unknown", `[{"channel":"/a","x":1,"x":2}]`, true},
		{"CHANNEL in capitals", `[{"CHANNEL":5,"data":1}]`, true},
		{"lone surrogate in data", inData(`"\ud800"`), true},
		{"swapped surrogates in data", inData(`"\udc00\ud800"`), true},
		{"lone surrogate in error", `[{"channel":"/a","error":"\ud800"}]`, true},
		{"pair of surrogates in channel", `[{"channel":"/\ud83d\ude00"}]`, true},
		{"huge exponent in data", inData(`1e999999`), true},
		{"400 digits in data", inData(strings.Repeat("9", 400)), true},
		{"huge exponent as id", `[{"channel":"/a","id":-1e999999}]`, true},
		{"minus zero", inData(`-0`), true},
		{"escaped NUL in string", inData(`"\u0000"`), true},
		{"escaped NUL in key", inData(`{"\u0000":1}`), true},
		{"white space everywhere", " [ { \"channel\" : \"/a\" ,\r\n\t\"data\" : [ 1 , 2 ] } ] ", true},
		{"noncharacter U+FFFF", inData("\"\uffff\""), true},
		{"empty key", inData(`{"":1}`), true},
		{"key ends as known key", `[{"xchannel":1,"channel":"/a","data":1}]`, true},
		{"null in every field", `[{"channel":null,"id":null,"clientId":null,"data":null,"ext":null,"successful":null,"subscription":null,"advice":null,"error":null,"version":null,"minimumVersion":null,"supportedConnectionTypes":null,"connectionType":null,"timestamp":null}]`, true},
		{"number as subscription", `[{"subscription":5}]`, true},
		{"object in subscription", `[{"subscription":["/a",{"x":[null]}]}]`, true},
		{"advice of wrong types", `[{"advice":{"timeout":"x","interval":[],"reconnect":5,"hosts":[1],"multiple-clients":"yes"}}]`, true},
		{"nested 512 arrays in data", inData(nest(512, "[", "", "]")), true},
		{"nested 62 arrays in unknown field", `[{"zz":` + nest(62, "[", "", "]") + `}]`, true},
		{"nested 61 objects in ext", `[{"ext":{"a":` + nest(61, `{"a":`, "1", "}") + `}}]`, true},

		{"nested 513 arrays in data", inData(nest(513, "[", "", "]")), false},
		{"nested 513 objects in data", inData(nest(513, `{"a":`, "1", "}")), false},
		{"nested 63 arrays in unknown field", `[{"zz":` + nest(63, "[", "", "]") + `}]`, false},
		{"nested 62 objects in ext", `[{"ext":{"a":` + nest(62, `{"a":`, "1", "}") + `}}]`, false},
		{"nested 64 arrays in advice", `[{"advice":{"a":` + nest(64, "[", "", "]") + `}}]`, false},
		{"nested 100k arrays in data", inData(nest(100000, "[", "", "]")), false},
		{"nested 100k objects in data", inData(nest(100000, `{"a":`, "1", "}")), false},
		{"nested 100k in unknown field", `[{"channel":"/a","zz":` + nest(100000, "[", "", "]") + `,"data":1}]`, false},
		{"5M open arrays in data", inData(strings.Repeat("[", 5000000)), false},
		{"5M open objects in data", inData(strings.Repeat(`{"a":`, 5000000)), false},
		{"5M open in unknown field", `[{"zz":` + strings.Repeat("[", 5000000), false},
		{"5M open at top", strings.Repeat("[", 5000000), false},
		{"duplicate channel", `[{"channel":"/a","channel":"/b","data":1}]`, false},
		{"duplicate by escaped key", `[{"channel":"/a","cha\u006enel":"/b","data":1}]`, false},
		{"duplicate after null", `[{"id":null,"id":"1"}]`, false},
		{"lone surrogate in channel", `[{"channel":"/\ud800","data":1}]`, false},
		{"lone low surrogate in clientId", `[{"clientId":"\udc00"}]`, false},
		{"lone surrogate in id", `[{"id":"\ud800\u0041"}]`, false},
		{"lone surrogate in subscription", `[{"subscription":"/\ud800"}]`, false},
		{"lone surrogate in subscription list", `[{"subscription":["/a","/\ud800"]}]`, false},
		{"number as payload", `1`, false},
		{"string as payload", `"a"`, false},
		{"null as payload", `null`, false},
		{"number as message", `[1]`, false},
		{"null as message", `[null]`, false},
		{"array as message", `[[{"channel":"/a"}]]`, false},
		{"BOM", "\xef\xbb\xbf" + inData(`1`), false},
		{"nothing", "", false},
		{"only white space", "  ", false},
		{"truncated", `[{"channel":"/a","data":{"x":1}`, false},
		{"truncated key escape", `{"\`, false},
		{"truncated key unicode", `{"\u`, false},
		{"digits after a backslash", "{\"\\29\\", false},
		{"trailing garbage", inData(`1`) + "x", false},
		{"trailing second value", inData(`1`) + inData(`2`), false},
		{"trailing NUL", inData(`1`) + "\x00", false},
		{"trailing NUL and garbage", inData(`1`) + "\x00garbage", false},
		{"NUL between tokens", "[{\"channel\":\x00\"/a\"}]", false},
		{"NUL in data string", inData("\"a\x00b\""), false},
		{"NUL in data", inData("[1,\x002]"), false},
		{"trailing comma in batch", `[{"channel":"/a"},]`, false},
		{"trailing comma in message", `[{"channel":"/a",}]`, false},
		{"leading comma in message", `[{,"channel":"/a"}]`, false},
		{"missing colon", `[{"channel" "/a"}]`, false},
		{"missing comma", `[{"channel":"/a" "data":1}]`, false},
		{"single quotes", `[{'channel':'/a'}]`, false},
		{"comment", `[{"channel":"/a"/*x*/}]`, false},
		{"mismatched close", `[{"channel":"/a"]}`, false},
		{"bad JSON in subscription", `[{"subscription":["/a",01]}]`, false},
		{"nested 62 deep in subscription", `[{"subscription":` + nest(63, "[", "", "]") + `}]`, false},
		{"trailing comma in subscription", `[{"subscription":["/a",]}]`, false},
		{"open subscription", `[{"subscription":[`, false},
		{"null in connection types", `[{"supportedConnectionTypes":[null]}]`, false},
		{"bad advice", `[{"advice":{"timeout":01}}]`, false},
	}
	for _, v := range []string{`01`, `1.`, `.5`, `+1`, `-`, `1e`, `1e+`, `0x1`, `NaN`, `Infinity`, `1_000`, `-01`, `1.e1`, `--1`, `1 2`,
		`tru`, `truex`, `nul`, `nulll`, `fals`, `falsy`, `True`, `[1,]`, `[,1]`, `[1 2]`, `{"a":1,}`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1 "b":2}`, `[1}`, `{"a":1]`, `}`, `]`, ``,
		`"\x"`, `"\u12G4"`, `"\u12"`, "\"a\nb\"", "\"a\tb\"", "\"\x1f\"", "{\"a\n\":1}", `'a'`, `"abc`, `{"\q":1}`, "[1\v,2]", "[1,\u00a02]", "\f1"} {
		cases = append(cases,
			nasty{"data " + v, inData(v), false},
			nasty{"id " + v, `[{"id":` + v + `}]`, false},
			nasty{"unknown " + v, `[{"channel":"/a","zz":` + v + `}]`, false})
	}
	for _, v := range []string{"\xff", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xc3", "\x80"} {
		for _, in := range []string{inData(`"a` + v + `b"`), inData(`{"a` + v + `":1}`), `[{"channel":"/a` + v + `","data":1}]`, `[{"channel":"/a","zz":"` + v + `"}]`, `[{"id":"` + v, `[{"error":"` + v + `"}]`} {
			cases = append(cases, nasty{"bad UTF-8 in " + in, in, false})
		}
	}
	return cases
}

func TestNastyInputsAreJudgedRight(t *testing.T) {
	for _, c := range nastyInputs() {
		b, err := Parse([]byte(c.in), Limits{Bytes: -1})
		assert.Equal(t, c.accept, err == nil, "%.60s: %v", c.name, err)
		if err == nil {
			b.Detach()
			b.Release()
		}
	}
}

// The error names the field and what it should have been.
func TestWrongTypesAreRefusedByName(t *testing.T) {
	values := map[string]string{"string": `"x"`, "number": `5`, "bool": `true`, "object": `{"a":1}`, "array": `["x"]`, "numbers": `[1]`}
	const all = "string number bool object array numbers"
	fits := map[string]string{"channel": all, "id": all, "clientId": all, "advice": all, "subscription": all, "data": all, "timestamp": all,
		"ext": "object", "successful": "bool", "supportedConnectionTypes": "array"}
	for _, name := range []string{"channel", "id", "clientId", "data", "ext", "successful", "subscription", "advice", "error",
		"version", "minimumVersion", "supportedConnectionTypes", "connectionType", "timestamp"} {
		want := fits[name]
		if want == "" {
			want = "string"
		}
		for kind, v := range values {
			b, err := Parse([]byte(`[{"`+name+`":`+v+`}]`), Limits{})
			if fit := assert.ObjectsAreEqual(true, containsWord(want, kind)); fit {
				if assert.NoError(t, err, "%s %s", name, v) {
					b.Release()
				}
				continue
			}
			assert.ErrorContains(t, err, `field "`+name+`" is not `, v)
		}
	}
}

// What the protocol has an answer to costs the neighbours nothing: such a field
// is absent, or empty in the case of an id.
func TestWrongTypesInNamesAndAdviceCountAsAbsent(t *testing.T) {
	for _, v := range []string{`5`, `true`, `{"a":1}`, `["x"]`, `[1]`, `-1e9`, `"x"`, `{"timeout":1}`} {
		b, err := Parse([]byte(`[{"channel":`+v+`,"id":`+v+`,"clientId":`+v+`,"advice":`+v+`},{"channel":"/a"}]`), Limits{})
		require.NoError(t, err, v)
		view, m := b.Views[0], b.Views[0].Detach()
		assert.Equal(t, "/a", string(b.Views[1].Channel))
		switch {
		case v[0] == '"':
			assert.Equal(t, "x", string(view.Channel))
			assert.Equal(t, "x", string(view.ID))
			assert.Equal(t, "x", string(view.ClientID))
		case v[0] == '5' || v[0] == '-':
			assert.Equal(t, v, string(view.ID))
			fallthrough
		default:
			assert.Nil(t, view.Channel, v)
			assert.Nil(t, view.ClientID, v)
			assert.NotNil(t, view.ID, v)
		}
		assert.Equal(t, []string{string(view.Channel), string(view.ID), string(view.ClientID)}, []string{m.Channel, m.ID, m.ClientID}, v)
		assert.Equal(t, v[0] == '{', m.Advice != nil, v)
		b.Release()
	}
}

func containsWord(list, word string) bool {
	for w := range strings.FieldsSeq(list) {
		if w == word {
			return true
		}
	}
	return false
}
