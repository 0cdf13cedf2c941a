package fault_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/internal/fault"
)

// named starts a server that answers every line with its name.
func named(t *testing.T, name string, plan fault.Plan) string {
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	if plan != nil {
		ln = fault.NewListener(ln, plan)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewScanner(c); in.Scan(); {
					fmt.Fprintf(c, "%s %s\n", name, in.Text())
				}
			}()
		}
	}()
	return ln.Addr().String()
}

type caller struct {
	net.Conn
	lines *bufio.Reader
}

func call(t *testing.T, addr string) *caller {
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil { // cut before the dial has returned
		c, _ = net.Pipe()
		c.Close()
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return &caller{c, bufio.NewReader(c)}
}

func (c *caller) ask(line string) string {
	io.WriteString(c, line+"\n")
	answer, err := c.lines.ReadString('\n')
	if err != nil {
		return "error"
	}
	return strings.TrimSpace(answer)
}

func TestAProxyCutsCarriesOnAndRetargets(t *testing.T) {
	p, err := fault.NewProxy(named(t, "one", nil), nil)
	require.NoError(t, err)
	defer p.Close()
	c := call(t, p.Addr())
	assert.Equal(t, "one hello", c.ask("hello"))
	assert.Equal(t, 1, p.Cut())
	assert.Equal(t, "error", c.ask("again"))

	p.Retarget(named(t, "two", nil))
	assert.Equal(t, "two hello", call(t, p.Addr()).ask("hello"))
	p.Down()
	assert.Equal(t, "error", call(t, p.Addr()).ask("hello"))
	p.Up()
	assert.Equal(t, "two hello", call(t, p.Addr()).ask("hello"))
}

func TestAProxyMakesConnectionsHalfOpen(t *testing.T) {
	p, err := fault.NewProxy(named(t, "one", nil), nil)
	require.NoError(t, err)
	defer p.Close()
	c := call(t, p.Addr())
	assert.Equal(t, "one hello", c.ask("hello"))
	assert.Equal(t, 1, p.HalfOpen())
	c.SetDeadline(time.Now().Add(100 * time.Millisecond))
	assert.Equal(t, "error", c.ask("again"))
	assert.Equal(t, "one hello", call(t, p.Addr()).ask("hello"))
}

func TestAPlanCountsConnections(t *testing.T) {
	plan := func(number int) []fault.Step {
		if number == 1 {
			return []fault.Step{{Kind: fault.Cut, Way: fault.In}}
		}
		return nil
	}
	p, err := fault.NewProxy(named(t, "one", nil), plan)
	require.NoError(t, err)
	defer p.Close()
	for name, addr := range map[string]string{"proxy": p.Addr(), "listener": named(t, "one", plan)} {
		assert.Equal(t, "one a", call(t, addr).ask("a"), name)
		assert.Equal(t, "error", call(t, addr).ask("a"), name)
		assert.Equal(t, "one a", call(t, addr).ask("a"), name)
	}
	all, err := fault.NewProxy(named(t, "one", nil), fault.Script(fault.Step{}))
	require.NoError(t, err)
	defer all.Close()
	assert.Equal(t, "error", call(t, all.Addr()).ask("a"))
	all.Calm()
	assert.Equal(t, "one a", call(t, all.Addr()).ask("a"))
}

func TestExchangesFailAsTheirStepsSay(t *testing.T) {
	var arrived atomic.Int32
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived.Add(1)
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "got %s", b)
	}))
	defer hs.Close()
	for _, x := range []struct {
		step    fault.Step
		arrived int32
		want    string
	}{
		{fault.Step{Kind: fault.Cut}, 0, "error"},
		{fault.Step{Kind: fault.Cut, Way: fault.In, After: 3}, 1, "got error"},
		{fault.Step{Kind: fault.HalfOpen}, 0, "error"},
		{fault.Step{Kind: fault.HalfOpen, Way: fault.In}, 1, "error"},
		{fault.Step{Kind: fault.Stall, For: time.Millisecond}, 1, "got abc"},
		{fault.Step{Kind: fault.Delay, Way: fault.In, For: time.Millisecond}, 1, "got abc"},
		{fault.Step{Kind: fault.Reorder, For: time.Millisecond}, 1, "got abc"},
		{fault.Step{Kind: fault.Corrupt, After: 1}, 1, "got acc"},
		{fault.Step{Kind: fault.Corrupt, Way: fault.In, After: 4}, 1, "got `bc"},
		{fault.Step{Kind: fault.Duplicate}, 2, "got abc"},
		{fault.Step{Kind: fault.Duplicate, Way: fault.In}, 1, "got abcgot abc"},
		{fault.Step{Kind: fault.Reorder, Way: fault.In, For: time.Millisecond}, 1, "got abc"},
	} {
		t.Run(x.step.Kind.String(), func(t *testing.T) {
			arrived.Store(0)
			base := &http.Transport{}
			defer base.CloseIdleConnections()
			rt := fault.NewRoundTripper(base, fault.Script(x.step))
			c := http.Client{Transport: rt, Timeout: 10 * time.Second}
			if x.step.Kind == fault.HalfOpen {
				c.Timeout = 500 * time.Millisecond
			}
			assert.Equal(t, x.want, post(t, &c, hs.URL))
			assert.Eventually(t, func() bool { return arrived.Load() == x.arrived }, 5*time.Second, time.Millisecond)
			require.NoError(t, rt.Close())
		})
	}
}

// A prompt next answers at once, and notes when it was asked.
type prompt struct{ asked time.Time }

func (p *prompt) RoundTrip(*http.Request) (*http.Response, error) {
	p.asked = time.Now()
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("answer"))}, nil
}

// A Stall and a Delay of an exchange last as long as they say, before its request or
// before its answer; a Reorder does when no other exchange is answered.
func TestExchangesAreLateForAsLongAsTheirStepsSay(t *testing.T) {
	for _, kind := range []fault.Kind{fault.Stall, fault.Delay, fault.Reorder} {
		for way, before := range map[fault.Way]time.Duration{fault.Out: time.Hour, fault.In: 0} {
			t.Run(fmt.Sprint(kind, " ", way), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					next := &prompt{}
					rt := fault.NewRoundTripper(next, fault.Script(fault.Step{Kind: kind, Way: way, For: time.Hour}))
					defer rt.Close()
					begin := time.Now()
					assert.Equal(t, "answer", post(t, &http.Client{Transport: rt}, "http://x/"))
					assert.Equal(t, before, next.asked.Sub(begin), "until it was asked")
					assert.Equal(t, time.Hour, time.Since(begin), "in all")
				})
			})
		}
	}
}

func post(t *testing.T, c *http.Client, url string) string {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("abc"))
	require.NoError(t, err)
	resp, err := c.Do(r)
	if err != nil {
		return "error"
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return string(b) + " error"
	}
	return string(b)
}

func TestAReorderedRequestLetsTheNextOneGoFirst(t *testing.T) {
	first := make(chan string, 2)
	hs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { first <- r.URL.Path }))
	defer hs.Close()
	waits := make(chan struct{})
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	rt := fault.NewRoundTripper(base, func(number int) []fault.Step {
		if number > 0 {
			return nil
		}
		close(waits)
		return []fault.Step{{Kind: fault.Reorder, For: time.Minute}}
	})
	defer rt.Close()
	c := http.Client{Transport: rt}
	done := make(chan string)
	go func() { done <- post(t, &c, hs.URL+"/early") }()
	<-waits
	post(t, &c, hs.URL+"/late")
	<-done
	assert.Equal(t, "/late", <-first)
	assert.Equal(t, "/early", <-first)
}

func TestAReorderedAnswerComesAfterTheNextOne(t *testing.T) {
	arrived := make(chan struct{})
	var late atomic.Bool
	hs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/early" {
			close(arrived)
		} else {
			late.Store(true)
		}
	}))
	defer hs.Close()
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	rt := fault.NewRoundTripper(base, func(number int) []fault.Step {
		if number > 0 {
			return nil
		}
		return []fault.Step{{Kind: fault.Reorder, Way: fault.In, For: time.Minute}}
	})
	defer rt.Close()
	c := http.Client{Transport: rt}
	done := make(chan bool, 1)
	go func() {
		post(t, &c, hs.URL+"/early")
		done <- late.Load()
	}()
	<-arrived
	for over := false; !over; { // the first answer may still be on its way when the next one comes
		post(t, &c, hs.URL+"/late")
		select {
		case after := <-done:
			assert.True(t, after, "the first answer came before the second request")
			over = true
		default:
		}
	}
}

func ExampleNewProxy() {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "here") }))
	defer site.Close()
	p, err := fault.NewProxy(site.Listener.Addr().String(), fault.Script(fault.Step{Kind: fault.Cut, After: 20}))
	if err != nil {
		panic(err)
	}
	defer p.Close()
	_, err = http.Get(p.URL())
	fmt.Println(err != nil)
	p.Calm()
	resp, err := http.Get(p.URL())
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	b, _ := io.ReadAll(resp.Body)
	fmt.Println(string(b))
	// Output:
	// true
	// here
}
