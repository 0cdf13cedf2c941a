package longpoll

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

// An exchange is the client's end of one request and its answer.
type exchange struct {
	target *transport.Target
	config *dialConfig
	peer   transport.Peer
	ctx    context.Context // done with Close, which ends the request
	cancel context.CancelFunc

	asked  bool // Receive has performed the request
	body   io.ReadCloser
	answer bounded

	mu      lock.Mutex[lock.Conn]
	request []byte
	kind    transport.Kind
	handed  chan struct{} // closed when request is there
	sent    bool
}

func newExchange(ctx context.Context, t *transport.Target, base *url.URL, c *dialConfig) *exchange {
	e := &exchange{target: t, config: c, handed: make(chan struct{})}
	e.peer = transport.Peer{Type: bayeux.LongPolling, Once: true, Addr: base.Host, URL: base}
	e.ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx)) // ctx bounds Dial only
	return e
}

func (e *exchange) Peer() *transport.Peer    { return &e.peer }
func (e *exchange) Context() context.Context { return e.ctx }

// Send keeps a copy of p for Receive. The copy is not pooled: net/http may read
// a request's body until after it has returned.
func (e *exchange) Send(p *transport.Payload) error {
	lock.None()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sent || e.ctx.Err() != nil {
		return transport.ErrClosed
	}
	e.sent = true
	e.request, e.kind = p.AppendTo(make([]byte, 0, p.Len())), p.Kind
	close(e.handed)
	return nil
}

// Receive performs the request, once; the next Receive ends the Conn.
func (e *exchange) Receive() (io.Reader, error) {
	if e.asked {
		if e.body != nil {
			e.body.Close()
		}
		return nil, io.EOF
	}
	e.asked = true
	select {
	case <-e.handed:
	case <-e.ctx.Done():
		return nil, transport.ErrClosed
	}
	resp, err := e.perform()
	if err != nil {
		return nil, e.lost(err)
	}
	if err := e.check(resp); err != nil {
		resp.Body.Close()
		return nil, err
	}
	e.body = resp.Body
	e.answer.set(&opening{r: resp.Body, media: resp.Header.Get("Content-Type")}, e.target.Limit, e.answerEnded)
	return &e.answer, nil
}

// Close ends the request at once, and with it the answer's reader.
func (e *exchange) Close(transport.Reason) error {
	e.cancel()
	return nil
}

func (e *exchange) perform() (*http.Response, error) {
	u := e.config.endpoint(e.peer.URL, e.kind)
	req, err := http.NewRequestWithContext(e.ctx, http.MethodPost, u.String(), bytes.NewReader(e.request))
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, e.target.Header)
	req.Host = cmp.Or(e.target.Header.Get("Host"), req.Host) // net/http does not take it from there
	req.Header["Content-Type"] = jsonType
	c := http.Client{CheckRedirect: stay}
	if own := e.target.HTTP; own != nil {
		c.Transport, c.Jar = own.Transport, own.Jar
	}
	resp, err := c.Do(req)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		failed.URL = transport.Redacted(u)
	}
	return resp, err
}

// stay gives a redirect to us instead of following it: as a GET it would do
// harm, and to another host it would carry our secrets.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// check makes an error of an answer that cannot be a payload.
func (e *exchange) check(resp *http.Response) error {
	switch {
	case resp.StatusCode != http.StatusOK:
		return refusal(resp)
	case resp.ContentLength == 0:
		return e.lost(noPayload(errEmpty))
	case e.target.Limit > 0 && resp.ContentLength > int64(e.target.Limit):
		return e.lost(tooLarge(e.target.Limit))
	}
	return nil
}

// An opening looks at what an answer begins with: a page instead of Bayeux is
// known by it, not by its type, which some servers give to Bayeux too. It skips a
// byte order mark.
type opening struct {
	r     io.Reader
	media string
	begun bool // past the place of a mark
	seen  bool // past the first byte that is not space
}

const mark = "\xef\xbb\xbf"

func (o *opening) Read(p []byte) (int, error) {
	if o.seen {
		return o.r.Read(p)
	}
	n, err := o.r.Read(p)
	for err == nil && n < min(len(mark), len(p)) {
		var more int
		more, err = o.r.Read(p[n:])
		n += more
	}
	first := !o.begun && n > 0
	o.begun = o.begun || first
	if first && bytes.HasPrefix(p[:n], []byte(mark)) {
		n = copy(p, p[len(mark):n])
	}
	text := bytes.TrimLeft(p[:n], " \t\r\n")
	if o.seen = len(text) > 0; o.seen && text[0] == '<' {
		return 0, noPayload(fmt.Errorf("the answer is not Bayeux but a page of type %q", o.media))
	}
	return n, err
}

var errEmpty = errors.New("the answer is empty")

// noPayload is the error of an answer that did come.
func noPayload(why error) *transport.Error {
	return &transport.Error{Reason: transport.BadPayload, Err: why}
}

// answerEnded translates what the answer's reader ends with.
func (e *exchange) answerEnded(err error) error {
	switch {
	case err == io.EOF && e.answer.empty():
		return e.lost(noPayload(errEmpty))
	case err == io.EOF:
		return err
	}
	return e.lost(err)
}

// lost is the error of an exchange that brought no answer.
func (e *exchange) lost(err error) error {
	if e.ctx.Err() != nil {
		return transport.ErrClosed
	}
	f, ok := errors.AsType[*transport.Error](err)
	if !ok {
		f = &transport.Error{Reason: transport.Internal, Err: err}
	}
	f.Type, f.Op, f.Status = bayeux.LongPolling, "receive", 0
	return f
}
