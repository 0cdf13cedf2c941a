package bayeux

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gocometd/cometd/internal/fuzzing"
)

func TestParseErrorTakesAnyText(t *testing.T) {
	for text, want := range map[string]Error{
		"402::session_unknown":                        {Code: 402, Message: "session_unknown"},
		"403:denied_by_security_policy:create_denied": {Code: 403, Args: []string{"denied_by_security_policy"}, Message: "create_denied"},
		"405:c[a],s[b]:no_transport":                  {Code: 405, Args: []string{"c[a]", "s[b]"}, Message: "no_transport"},
		"401:x1:Unknown client":                       {Code: 401, Args: []string{"x1"}, Message: "Unknown client"},
		"400::bad: it has a colon":                    {Code: 400, Message: "bad: it has a colon"},
		"403:only two parts":                          {Code: 403, Message: "only two parts"},
		"403:":                                        {Code: 403},
		"403::":                                       {Code: 403},
		"403":                                         {Code: 403},
		"503 Service Unavailable":                     {Code: 503, Message: "Service Unavailable"},
		"Two connection with same client_id.":         {Message: "Two connection with same client_id."},
		"1st connection failed":                       {Message: "1st connection failed"},
		"12345678901234567890::x":                     {Message: "12345678901234567890::x"},
		"::x":                                         {Message: "::x"},
		"":                                            {},
	} {
		want.Channel = "/a"
		assert.Equal(t, &want, ParseError("/a", text), text)
	}
}

func TestWireIsWhatParseErrorReads(t *testing.T) {
	for _, text := range []string{"402::session_unknown", "403:a,b:denied", "404::", "000:x:", "no code at all", ""} {
		assert.Equal(t, text, ParseError("", text).Wire())
	}
	assert.Equal(t, "400::b_negative", Errorf(400, "%s_negative", "b").Wire())
}

func TestErrorsMatchTheirSentinels(t *testing.T) {
	all := map[string]error{"unauthorized": ErrUnauthorized, "unknown": ErrUnknownSession, "denied": ErrDenied,
		"channel": ErrChannel, "deleted": ErrDeleted, "timeout": ErrTimeout, "nodata": ErrNoData}
	for text, want := range map[string][]string{
		"401::Authentication invalid":                 {"unauthorized"},
		"401:x:Unknown client":                        {"unknown"}, // Faye
		"402::session_unknown":                        {"unknown"},
		"402::Unknown client":                         {"unknown"},
		"402":                                         {"unknown"},
		"402:data:Missing required parameter":         {}, // Faye
		"403::Unknown client":                         {"unknown"},
		"403::UNKNOWN CLIENT id":                      {"unknown"},
		"403:denied_by_security_policy:create_denied": {"denied"},
		"403::subscription_invalid":                   {"denied", "channel"},
		"403::subscription_missing":                   {"denied", "channel"},
		"403:/service/x:Forbidden channel":            {"denied"},
		"400::channel_missing":                        {"channel"},
		"404:/x:Unknown channel":                      {"channel"},
		"405::channel_invalid":                        {"channel"},
		"405:/foo.x:Invalid channel":                  {"channel"},
		"405::message_id_invalid":                     {},
		"404::message_deleted":                        {"deleted"},
		"406::timeout":                                {"timeout"},
		"500::internal":                               {},
		"unknown client":                              {},
	} {
		var got []string
		for name, sentinel := range all {
			if errors.Is(ParseError("/a", text), sentinel) {
				got = append(got, name)
			}
		}
		assert.ElementsMatch(t, want, got, text)
	}
}

func TestErrorTextIsOneSafeLine(t *testing.T) {
	for want, e := range map[string]*Error{
		"bayeux: /chat/room: 403 publish_denied":                ParseError("/chat/room", "403::publish_denied"),
		"bayeux: /a: 401 Unknown client (x1)":                   ParseError("/a", "401:x1:Unknown client"),
		`bayeux: "/a\n": 500 "x\ny"`:                            ParseError("/a\n", "500::x\ny"),
		"bayeux: token_missing":                                 {Message: "token_missing"},
		"bayeux: refused":                                       {Args: nil},
		"bayeux: 400 refused ()":                                {Code: 400, Args: []string{""}},
		`bayeux: 400 refused ("\u202e")`:                        {Code: 400, Args: []string{"\u202e"}},
		"bayeux: Two connection with same client_id.":           ParseError("", "Two connection with same client_id."),
		"bayeux: /meta/handshake: 405 no_transport (c[a],s[b])": ParseError(MetaHandshake, "405:c[a],s[b]:no_transport"),
	} {
		assert.Equal(t, want, e.Error())
	}
}

// No text makes ParseError panic or grow, and what it read it reads again.
func FuzzError(f *testing.F) {
	for _, s := range []string{"402::session_unknown", "403:a,b:c", "403", "403 x", "x", "", ":::", "0:,:", "403:\xff:\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fuzzing.Watch(t)
		e := ParseError("/a", text)
		again := ParseError("/a", e.Wire())
		if e.Code != again.Code || e.Wire() != again.Wire() || e.Error() != again.Error() {
			t.Fatalf("%q: %+v, again %+v", text, e, again)
		}
		for _, target := range []error{ErrDenied, ErrUnknownSession, ErrUnauthorized, ErrChannel} {
			_ = errors.Is(e, target)
		}
		for _, c := range []byte(e.Error()) {
			if c < ' ' || c == 0x7f {
				t.Fatalf("%q has a control character", e.Error())
			}
		}
	})
}
