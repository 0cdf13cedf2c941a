//go:build interop

package interop

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium is one headless browser for the whole run, and the site its pages
// come from, which is another origin than any server's.
var chromium struct {
	sync.Once
	ctx   context.Context
	site  *httptest.Server
	close func()
}

// origin is where the pages come from.
func origin() string {
	chromium.Do(startChromium)
	return strings.Replace(chromium.site.URL, "127.0.0.1", "localhost", 1)
}

func startChromium() {
	chromium.site = httptest.NewServer(http.FileServer(http.Dir("peers/js")))
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true))
	allocator, closeAllocator := chromedp.NewExecAllocator(context.Background(), flags...)
	ctx, closeBrowser := chromedp.NewContext(allocator)
	chromium.ctx = ctx
	chromium.close = func() { closeBrowser(); closeAllocator(); chromium.site.Close() }
}

// openPage starts a driver in a page of its own, with cookies of its own.
func openPage(server, transport string, o options) (*driver, error) {
	from := origin()
	if err := chromedp.Do(chromium.ctx); err != nil { // starts the browser
		return nil, fmt.Errorf("interop: no Chromium (run interop/install): %w", err)
	}
	page, closePage := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext())
	d := newDriver()
	d.stop = closePage
	d.tell = func(line []byte) error {
		return chromedp.Do(page, chromedp.Evaluate[chromedp.Void](fmt.Sprintf("command(%s)", line)))
	}
	err := chromedp.Listen(page, func(event any) {
		if said, ok := event.(*runtime.EventBindingCalled); ok {
			d.hear([]byte(said.Payload))
		}
	})
	if err != nil {
		return nil, err
	}
	d.loaded = func() error { return chromedp.Do(page, chromedp.Poll[chromedp.Void]("window.command")) }
	query := url.Values{"url": {server}, "transport": {transport}, "options": {o.String()}}
	err = chromedp.Do(page,
		chromedp.Func(bindSay),
		chromedp.Navigate(from+"/page.html?"+query.Encode()))
	if err != nil {
		return nil, err
	}
	return d, d.loaded()
}

// bindSay gives every page the function that its driver answers with.
func bindSay(ctx context.Context, t *chromedp.Target) error {
	_, err := cdp.Call(ctx, t, runtime.AddBinding, runtime.AddBindingParams{Name: "say"})
	return err
}
