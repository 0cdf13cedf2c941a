package longpoll

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/gocometd/cometd/transport"
)

// Header values that are the same for every answer. They are shared by all of
// them, so nobody may change them in place.
var (
	jsonType   = []string{"application/json;charset=UTF-8"}
	scriptType = []string{"text/javascript;charset=UTF-8"}
	textType   = []string{"text/plain;charset=UTF-8"}
	noStore    = []string{"no-store"}
	noSniff    = []string{"nosniff"}
	gzipped    = []string{"gzip"}
	closes     = []string{"close"}
)

// piece is how much of an answer has to leave within one stall limit.
const piece = 16 << 10

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// A text is the body of an answer, in pooled memory.
type text struct {
	body   []byte
	plain  *[]byte
	packer *packer // nil: body is as it was encoded
}

// encode gives p as this exchange wants it.
func (h *held) encode(p *transport.Payload) text {
	buf := buffers.Get().(*[]byte)
	*buf = h.append((*buf)[:0], p)
	return text{body: *buf, plain: buf}
}

func (t *text) free() {
	if cap(*t.plain) <= 1<<20 { // do not keep what one huge answer needed
		buffers.Put(t.plain)
	}
	if t.packer != nil {
		packers.Put(t.packer)
	}
}

// answer sets the header for t, which is p encoded, compresses t if the client
// accepts that, and writes it.
func (h *held) answer(t text, p *transport.Payload) error {
	header := h.w.Header()
	header["Content-Type"] = jsonType
	if h.callback != "" {
		header["Content-Type"] = scriptType
	}
	header["Cache-Control"] = noStore
	header["X-Content-Type-Options"] = noSniff
	if p.Kind == transport.Handshake && h.peer.Fresh {
		http.SetCookie(h.w, h.accept.BrowserCookie(h.r, h.peer))
	}
	if p.Last {
		header["Connection"] = closes
	}
	if h.config.gzipFrom >= 0 && len(t.body) >= h.config.gzipFrom {
		header.Add("Vary", "Accept-Encoding") // beside what others have put there
		if acceptsGzip(h.r.Header["Accept-Encoding"]) {
			t.packer = packers.Get().(*packer)
			if b := t.packer.pack(t.body); len(b) < len(t.body) {
				header["Content-Encoding"] = gzipped
				t.body = b
			}
		}
	}
	header["Content-Length"] = []string{strconv.Itoa(len(t.body))}
	if h.apart != nil {
		return h.writeApart(t)
	}
	return h.write(t)
}

func (h *held) append(dst []byte, p *transport.Payload) []byte {
	if h.callback == "" {
		return p.AppendTo(dst)
	}
	dst = append(append(dst, h.callback...), '(')
	dst = appendScript(dst, p)
	return append(dst, ')')
}

// write hands t to the network piece by piece, each within the stall limit: one
// Write, unless it is very long.
func (h *held) write(t text) error {
	defer h.writing.Done()
	defer t.free()
	body := t.body
	for first := true; first || len(body) > 0; first = false {
		if err := h.extend(); err != nil {
			return err
		}
		n := min(len(body), piece)
		if _, err := h.w.Write(body[:n]); err != nil {
			return h.lost(err)
		}
		body = body[n:]
	}
	if err := h.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return h.lost(err)
	}
	return nil
}

func (h *held) lost(err error) error {
	e := &transport.Error{Type: h.peer.Type, Op: "send", Reason: transport.Internal, Err: err}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.cut { // the deadline was Close's, and no limit
			return transport.ErrClosed
		}
		e.Reason = transport.Stalled
	}
	return e
}

// acceptsGzip reads Accept-Encoding: what it says of gzip, or else of all
// codings that it does not name.
func acceptsGzip(header []string) bool {
	others := false
	for _, v := range header {
		for coding := range strings.SplitSeq(strings.ReplaceAll(v, " ", ""), ",") {
			name, weight, _ := strings.Cut(coding, ";")
			wanted := weight == "" || strings.Trim(weight, "qQ=0.") != ""
			switch {
			case strings.EqualFold(name, "gzip"):
				return wanted
			case name == "*":
				others = wanted
			}
		}
	}
	return others
}

// A packer compresses whole answers.
type packer struct {
	out bytes.Buffer
	z   *gzip.Writer
}

var packers = sync.Pool{New: func() any {
	p := &packer{}
	p.z, _ = gzip.NewWriterLevel(&p.out, gzip.BestSpeed) // fails only for an unknown level
	return p
}}

// pack gives b compressed, good until the next pack.
func (p *packer) pack(b []byte) []byte {
	p.out.Reset()
	p.z.Reset(&p.out)
	p.z.Write(b) // into memory: neither can fail
	p.z.Close()
	return p.out.Bytes()
}

// refuse answers with e's status and one line of plain text that names what was
// wrong.
func refuse(w http.ResponseWriter, r *http.Request, o *transport.Accept, e *transport.Error) {
	o.BoundAnswer(w)
	if e.Reason == transport.Normal {
		w.WriteHeader(e.Status)
		return
	}
	text := "longpoll: " + e.Reason.Text()
	if e.Limit > 0 {
		text += fmt.Sprintf(": limit is %d bytes", e.Limit)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	header := w.Header()
	header["Content-Type"] = textType
	header["Cache-Control"] = noStore
	header["X-Content-Type-Options"] = noSniff
	unread := e.Op == "receive" && r.ContentLength != 0 // or perhaps read, which a connection is not worth knowing
	if r.ProtoMajor == 1 && (unread || e.Reason == transport.TooLarge || e.Reason == transport.Stalled) {
		header["Connection"] = closes // answer now, without the rest of the body
	}
	w.WriteHeader(e.Status)
	fmt.Fprintln(w, text)
}
