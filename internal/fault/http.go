package fault

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// A RoundTripper harms whole exchanges. Use one for as long as its Plan is
// wanted, and Close it at the end.
type RoundTripper struct {
	next http.RoundTripper
	plan Plan

	mu       sync.Mutex
	number   int
	other    chan struct{} // closed when an exchange is answered; replaced then
	doubles  sync.WaitGroup
	ctx      context.Context
	finished context.CancelFunc
}

// NewRoundTripper makes one over next; nil is http.DefaultTransport.
func NewRoundTripper(next http.RoundTripper, plan Plan) *RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	t := &RoundTripper{next: next, plan: plan, other: make(chan struct{})}
	t.ctx, t.finished = context.WithCancel(context.Background())
	return t
}

// Close ends the requests that Duplicate has added, and waits for them.
func (t *RoundTripper) Close() error {
	t.finished()
	t.doubles.Wait()
	return nil
}

// RoundTrip does what its steps say, in their order, first those of the
// request, then those of the answer.
func (t *RoundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	steps, other := t.plan(t.number), t.other
	t.number++
	t.mu.Unlock()
	for _, s := range along(steps, Out) {
		if err := t.ask(r, s, other); err != nil {
			if r.Body != nil {
				r.Body.Close()
			}
			return nil, err
		}
	}
	defer t.answeredOne()
	if in := along(steps, In); len(in) > 0 {
		return t.answered(r, in)
	}
	return t.next.RoundTrip(r)
}

// nextAnswer is closed when an exchange is answered from now on.
func (t *RoundTripper) nextAnswer() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.other
}

// answeredOne lets those go that wait for another exchange.
func (t *RoundTripper) answeredOne() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.other)
	t.other = make(chan struct{})
}

// ask applies one step to a request; other is closed when another one has been
// answered.
func (t *RoundTripper) ask(r *http.Request, s Step, other <-chan struct{}) error {
	switch s.Kind { //exhaustive:enforce
	case Cut:
		return ErrCut
	case HalfOpen:
		<-r.Context().Done()
		return r.Context().Err()
	case Stall, Delay:
		return pause(r.Context(), s.For, nil)
	case Reorder:
		return pause(r.Context(), s.For, other)
	case Corrupt:
		if r.Body != nil {
			r.Body = &spoiled{ReadCloser: r.Body, flipAt: s.After, cutAt: -1}
		}
	case Duplicate:
		return t.double(r)
	}
	return nil
}

// pause waits for d, or until woken is closed.
func pause(ctx context.Context, d time.Duration, woken <-chan struct{}) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-woken:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// double sends a request once more and forgets the answer. It does nothing for
// a body that can be read only once.
func (t *RoundTripper) double(r *http.Request) error {
	if r.Body != nil && r.GetBody == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context())) // it is on its way, whatever its sender does
	again := r.Clone(ctx)
	if r.Body != nil {
		body, err := r.GetBody()
		if err != nil {
			cancel()
			return err
		}
		again.Body = body
	}
	t.doubles.Go(func() {
		defer cancel()
		defer context.AfterFunc(t.ctx, cancel)()
		resp, err := t.next.RoundTrip(again)
		if err != nil {
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	})
	return nil
}

// answered performs r and applies steps to its answer.
func (t *RoundTripper) answered(r *http.Request, steps []Step) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body := &spoiled{ReadCloser: resp.Body, flipAt: -1, cutAt: -1}
	for _, s := range steps {
		switch s.Kind { //exhaustive:enforce
		case Cut:
			body.cutAt = s.After
		case Corrupt:
			body.flipAt = s.After
		case HalfOpen:
			err = pause(r.Context(), forever, nil)
		case Stall, Delay:
			err = pause(r.Context(), s.For, nil)
		case Reorder:
			err = pause(r.Context(), s.For, t.nextAnswer())
		case Duplicate:
			body.ReadCloser = twice(body.ReadCloser)
		}
		if err != nil {
			resp.Body.Close()
			return nil, err
		}
	}
	resp.Body = body
	return resp, nil
}

// twice is a body with all that has been read from it once more behind it.
func twice(body io.ReadCloser) io.ReadCloser {
	first := &bytes.Buffer{}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.TeeReader(body, first), first), body}
}

var errBroken = errors.Join(ErrCut, io.ErrUnexpectedEOF)

// A spoiled body has a wrong bit, or an early end. Negative: it has not.
type spoiled struct {
	io.ReadCloser
	flipAt, cutAt int
	read          int
}

func (s *spoiled) Read(b []byte) (int, error) {
	if s.cutAt >= 0 {
		if b = b[:min(len(b), s.cutAt-s.read)]; len(b) == 0 {
			return 0, errBroken
		}
	}
	n, err := s.ReadCloser.Read(b)
	if at := s.flipAt - s.read; s.flipAt >= 0 && at >= 0 && at < n {
		b[at] ^= 1
	}
	s.read += n
	if s.cutAt >= 0 && s.read >= s.cutAt {
		err = nil // the next Read breaks
	}
	return n, err
}
