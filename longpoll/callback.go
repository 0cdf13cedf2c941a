package longpoll

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

// NewCallbackAcceptor is the server's end of callback-polling (JSONP,
// docs/protocol.md §10): GET requests whose answer is a script that calls the
// client's function. Any site can send them and run the answer, with the
// user's cookies, so give it to a server only if old browsers demand it. Wrong
// options show as those of [NewAcceptor] do.
func NewCallbackAcceptor(opts ...AcceptOption) transport.Acceptor {
	c, err := newAcceptConfig(opts)
	return &callbackAcceptor{c, err}
}

type callbackAcceptor struct {
	config acceptConfig
	err    error // of the first wrong option
}

// Err is what is wrong with the options, or nil.
func (a *callbackAcceptor) Err() error { return a.err }

func (a *callbackAcceptor) Type() string { return bayeux.CallbackPolling }

func (a *callbackAcceptor) Match(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.RawQuery != "" && r.Header.Get("Upgrade") == ""
}

func (a *callbackAcceptor) Serve(w http.ResponseWriter, r *http.Request, o *transport.Accept, serve func(transport.Conn)) {
	if a.err != nil {
		o.BoundAnswer(w)
		http.Error(w, a.err.Error(), http.StatusInternalServerError)
		return
	}
	name, text, err := a.parse(r, o)
	if err != nil {
		tellLimit(r, o, err)
		refuse(w, r, o, err)
		return
	}
	h := newHeld(w, r, o, &a.config, bayeux.CallbackPolling)
	h.peer.Polled = true
	h.callback = name
	h.body.set(bytes.NewReader(text), o.Limit, h.bodyEnded)
	h.whole = true
	h.rc.SetReadDeadline(deadline(0)) // there is no body to wait for
	h.run(serve)
}

// parse takes the callback's name and the messages from a query.
func (a *callbackAcceptor) parse(r *http.Request, o *transport.Accept) (name string, text []byte, e *transport.Error) {
	if r.ContentLength != 0 {
		return "", nil, bad(http.StatusBadRequest, errors.New("the messages are in the query, and a body is not wanted"))
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", nil, bad(http.StatusBadRequest, errors.New("the query cannot be read"))
	}
	names := query[a.config.parameter]
	if len(names) != 1 {
		return "", nil, bad(http.StatusBadRequest, fmt.Errorf("there must be one parameter %s, not %d", a.config.parameter, len(names)))
	}
	if len(names[0]) > a.config.nameLen {
		o.Broke(r, transport.LimitCallback)
		return "", nil, bad(http.StatusBadRequest, fmt.Errorf("the callback's name is longer than %d characters", a.config.nameLen))
	}
	if !callbackName(names[0]) {
		return "", nil, bad(http.StatusBadRequest, errors.New("the callback's name may have letters, digits, dots, dashes and underscores only"))
	}
	if text, err = joinMessages(query["message"]); err != nil {
		return "", nil, bad(http.StatusBadRequest, err)
	}
	if o.Limit > 0 && len(text) > o.Limit {
		return "", nil, tooLarge(o.Limit)
	}
	return names[0], text, nil
}

func callbackName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return s != ""
}

// appendScript appends p as an expression of JavaScript. JSON is one, except
// for two line separators that old engines do not take inside a string.
func appendScript(dst []byte, p *transport.Payload) []byte {
	from := len(dst)
	dst = p.AppendTo(dst)
	if !bytes.Contains(dst[from:], []byte("\u2028")) && !bytes.Contains(dst[from:], []byte("\u2029")) {
		return dst
	}
	text := bytes.ReplaceAll(dst[from:], []byte("\u2028"), []byte(`\u2028`))
	text = bytes.ReplaceAll(text, []byte("\u2029"), []byte(`\u2029`))
	return append(dst[:from], text...)
}
