package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A secret shows in no verb of fmt, no JSON, no log, not even from within an
// unexported field.
func TestTokensNeverShow(t *testing.T) {
	const secret = "hunter2"
	token := Bearer(secret)
	type holder struct {
		Token Token
		inner Token
		any   AccessToken
	}
	c, err := New("http://user:"+secret+"@fake/?token="+secret, WithTransports(board(newFake(), streams)), WithAccessToken(token), WithHeader("X-Key", secret))
	require.NoError(t, err)
	defer func() { c.Close(); <-c.Done() }()
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	for _, v := range []any{token, &token, holder{token, token, token}, &holder{token, token, token}, []Token{token}, c} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb, v)
		}
		j, _ := json.Marshal(v)
		out.Write(j)
		log.Info("x", "v", v)
	}
	assert.NotContains(t, out.String(), secret)
	assert.NotContains(t, out.String(), fmt.Sprintf("%x", secret))
	assert.Equal(t, "Bearer hunter2", token.Authorization())
	assert.Equal(t, "Basic dTpw", Basic("u", "p").Authorization())
	assert.Equal(t, "Basic dTo=", Basic("u", "").Authorization())
	assert.Equal(t, "", Token{}.Authorization())
	assert.Equal(t, "***", token.String()+""+token.GoString()[3:])
}

// seen is a dialer that remembers the headers of what it dials.
type seen struct {
	transport.Dialer
	mu      sync.Mutex
	headers []http.Header
}

func (s *seen) Dial(ctx context.Context, t *transport.Target) (transport.Conn, error) {
	s.mu.Lock()
	s.headers = append(s.headers, t.Header.Clone())
	s.mu.Unlock()
	return s.Dialer.Dial(ctx, t)
}

func TestATokenGoesWithEveryRequest(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			s := &seen{Dialer: d}
			c := start(t, []transport.Dialer{s}, WithAccessToken(Bearer("t")), WithHeader("X-A", "1"), WithHeader("X-A", "2"))
			require.NoError(t, c.Publish(t.Context(), "/a", 1))
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, h := range s.headers {
				assert.Equal(t, "Bearer t", h.Get("Authorization"))
				assert.Equal(t, []string{"1", "2"}, h["X-A"])
			}
		})
	})
}

func TestATokenIsAskedForBeforeEachHandshake(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d), WithTokenExt("token"), tokens("one", "two"),
				WithHandshakeExt(func(context.Context) (bayeux.Ext, error) { return bayeux.Ext{"app": []byte(`7`)}, nil }))
			require.NoError(t, c.Wait(t.Context()))
			time.Sleep(25 * time.Second)
			f.forget()
			d.cut()
			time.Sleep(5 * time.Second)
			var exts []string
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, ms := range f.payloads {
				if ms[0].Channel == bayeux.MetaHandshake {
					exts = append(exts, string(ms[0].Ext["token"])+string(ms[0].Ext["app"]))
				}
			}
			assert.Equal(t, []string{`"one"7`, `"two"7`}, exts)
		})
	})
}

// A token source that fails, or hangs, is a failed attempt and no end.
func TestATokenSourceMayFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := start(t, dialers(board(newFake(), streams)), WithTokenSource(func(ctx context.Context) (AccessToken, error) {
			switch n++; n {
			case 1:
				return nil, errors.New("no")
			case 2:
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return Bearer("t"), nil
		}))
		time.Sleep(15 * time.Second)
		assert.Equal(t, bayeux.Connected, c.State())
	})
}

// A token source may take no context and not return. The client goes on trying,
// says so, never asks twice at once, and Close does not wait for it.
func TestATokenSourceMayIgnoreItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var asked atomic.Int32
		release := make(chan struct{})
		c := start(t, dialers(board(f, streams)), WithTokenSource(func(context.Context) (AccessToken, error) {
			asked.Add(1)
			<-release
			return Bearer("t"), nil
		}))
		failures := c.Events(t.Context())
		time.Sleep(time.Minute)
		assert.EqualValues(t, 1, asked.Load())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorContains(t, c.Wait(ctx), "token source: no answer within 10s")
		began := time.Now()
		c.Close()
		assert.Zero(t, time.Since(began))
		told := 0
		for e := range failures {
			if _, ok := e.(Failure); ok {
				told++
			}
		}
		assert.GreaterOrEqual(t, told, 3)
		select {
		case <-c.Done():
			t.Error("done before the token source")
		default:
		}
		close(release)
		<-c.Done()
	})
}

// What a slow token source returns after an attempt has failed is good for the
// next.
func TestASlowTokenIsNotAskedForAgain(t *testing.T) {
	for _, took := range []time.Duration{10*time.Second + time.Millisecond, 15 * time.Second, 25 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var asked, exts atomic.Int32
			c := start(t, dialers(board(newFake(), streams)), WithTokenSource(func(context.Context) (AccessToken, error) {
				asked.Add(1)
				time.Sleep(took)
				return Bearer("t"), nil
			}), WithHandshakeExt(func(context.Context) (bayeux.Ext, error) {
				exts.Add(1)
				time.Sleep(took)
				return bayeux.Ext{}, nil
			}))
			time.Sleep(2 * time.Minute)
			assert.Equal(t, bayeux.Connected, c.State())
			assert.LessOrEqual(t, asked.Load(), int32(4)) // one an attempt
			assert.EqualValues(t, 1, exts.Load())
		})
	}
}

// A token is asked for before each handshake, also before the one that a
// restored connection makes over another transport.
func TestATokenForTheOtherTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stream, poll := pair()
		asked := 0
		start(t, dialers(stream, poll), WithTokenSource(func(context.Context) (AccessToken, error) {
			asked++
			return Bearer("t"), nil
		}))
		time.Sleep(5 * time.Second)
		stream.set(errRefused)
		stream.cut()
		time.Sleep(10 * time.Second)
		assert.Equal(t, 2, f.count(bayeux.MetaHandshake))
		assert.Equal(t, 2, asked)
	})
}
