package longpoll

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/gocometd/cometd/transport"
)

// openBody prepares the request's text for Receive, or says what is wrong with
// it as far as the header tells.
func (h *held) openBody() *transport.Error {
	r, limit := h.r, h.accept.Limit
	h.rc.SetReadDeadline(deadline(h.accept.Body)) // also for what net/http skips of a refused body
	if r.ProtoMajor == 1 && r.Header["Expect"] != nil {
		h.accept.BoundAnswer(h.w) // net/http says 100 before it reads
	}
	switch {
	case limit > 0 && r.ContentLength > int64(limit):
		return tooLarge(limit)
	case r.ContentLength == 0:
		return bad(http.StatusBadRequest, errors.New("the body is empty"))
	case r.Header.Get("Content-Encoding") != "" && !strings.EqualFold(r.Header.Get("Content-Encoding"), "identity"):
		return bad(http.StatusUnsupportedMediaType, errors.New("a Content-Encoding is not supported here"))
	}
	h.body.set(r.Body, limit, h.bodyEnded)
	if ct := r.Header.Get("Content-Type"); !plain(ct) {
		return h.convert(ct)
	}
	return nil
}

// plain says whether a body of this type is UTF-8 JSON as it stands, for the
// types that clients send.
func plain(contentType string) bool {
	switch contentType {
	case "", "application/json", "application/json;charset=UTF-8", "application/json; charset=utf-8", "text/plain;charset=UTF-8":
		return true
	}
	return false
}

// convert has a body of another type turned into UTF-8 JSON, if that can be.
func (h *held) convert(contentType string) *transport.Error {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil // any type will do, if only the body is JSON
	}
	decode, known := charsets[strings.ToLower(params["charset"])]
	form := h.config.form && media == "application/x-www-form-urlencoded"
	switch {
	case !known:
		return bad(http.StatusUnsupportedMediaType, errors.New("the charset is not supported here"))
	case decode == nil && !form:
		return nil
	}
	c := &converted{decode: decode, form: form}
	c.raw.set(h.r.Body, h.accept.Limit, func(err error) error { return err })
	h.body.set(c, h.accept.Limit, h.bodyEnded)
	return nil
}

// A converted is a body of another type as UTF-8 JSON. All of it is read when the
// first of it is wanted, and not before: then Close can free who waits for it.
type converted struct {
	raw    bounded
	decode func([]byte) []byte // nil: it is UTF-8
	form   bool
	text   *bytes.Reader
}

func (c *converted) Read(p []byte) (int, error) {
	if c.text == nil {
		text, err := io.ReadAll(&c.raw)
		if err != nil {
			return 0, err
		}
		if c.decode != nil {
			text = c.decode(text)
		}
		if c.form {
			if text, err = formText(text); err != nil {
				return 0, bad(http.StatusBadRequest, err)
			}
		}
		c.text = bytes.NewReader(text)
	}
	return c.text.Read(p)
}

// bodyEnded is called when the last of the body has been read, or reading it
// failed.
func (h *held) bodyEnded(err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == io.EOF {
		// The limit was for the body. Left in place, it or the http.Server's
		// ReadTimeout would end a held request as if its client were gone.
		h.whole = true
		h.rc.SetReadDeadline(time.Time{})
		return err
	}
	if h.state == closed { // which has ended the reading
		return &transport.Error{Type: h.peer.Type, Op: "receive", Reason: h.reason}
	}
	e, ok := errors.AsType[*transport.Error](err)
	if !ok {
		e = bad(http.StatusBadRequest, errors.New("the body ended early"))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			e = &transport.Error{Reason: transport.Stalled, Status: http.StatusRequestTimeout, Err: fmt.Errorf("the body took longer than %v", h.accept.Body)}
		}
	}
	e.Type, e.Op = h.peer.Type, "receive"
	h.fault = e
	return e
}

func bad(status int, err error) *transport.Error {
	return &transport.Error{Op: "receive", Reason: transport.BadPayload, Status: status, Err: err}
}

// formText is the JSON in a form's fields "message". A body that is JSON
// already stays as it is: some clients do not say what they send.
func formText(body []byte) ([]byte, error) {
	if b := bytes.TrimLeft(body, " \t\r\n"); len(b) > 0 && (b[0] == '[' || b[0] == '{') {
		return body, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errors.New("the form cannot be read")
	}
	return joinMessages(form["message"])
}

// joinMessages makes one array of several texts, each an object or an array.
func joinMessages(texts []string) ([]byte, error) {
	switch len(texts) {
	case 0:
		return nil, errors.New("there is no message")
	case 1:
		return []byte(texts[0]), nil
	}
	joined := []byte{'['}
	for _, text := range texts {
		text = strings.TrimSpace(text)
		if inner, ok := strings.CutPrefix(text, "["); ok {
			if text, ok = strings.CutSuffix(inner, "]"); !ok {
				return nil, errors.New("a message is not an array")
			}
		}
		if strings.TrimSpace(text) == "" {
			continue
		}
		if len(joined) > 1 {
			joined = append(joined, ',')
		}
		joined = append(joined, text...)
	}
	return append(joined, ']'), nil
}
