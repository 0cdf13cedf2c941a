//go:build interop

package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Two windows of the chat page, in a real browser: they see each other, talk,
// change transports, and come back after the server was restarted.
func TestChatPageInABrowser(t *testing.T) {
	browser := openBrowser(t)
	address, stop := serving(t, "127.0.0.1:0", "--max-interval", "3s")
	url := "http://" + address

	ada := browser.open(t, url, "Ada")
	grace := browser.open(t, url, "Grace")
	ada.awaitText("#pill", "Connected by WebSocket")
	grace.awaitText("#pill", "Connected by WebSocket")
	ada.await(peopleAre("Ada (you)/WebSocket", "Grace/WebSocket"))
	grace.await(peopleAre("Grace (you)/WebSocket", "Ada/WebSocket"))

	ada.say("hello, window")
	grace.await(bubblesEnd("hello, window"))
	ada.await(`!document.querySelector(".sending")`)

	// What people write is text, whatever it looks like.
	ada.say("<img src=x onerror=alert(1)><b>bold</b>")
	grace.await(bubblesEnd("<img src=x onerror=alert(1)><b>bold</b>"))
	grace.await(`!document.querySelector(".bubble img, .bubble b")`)

	// The switch moves the session, and the others see it.
	grace.click("#use input[value=long-polling]")
	grace.awaitText("#pill", "Connected by Long-polling")
	ada.await(peopleAre("Ada (you)/WebSocket", "Grace/Long-polling"))
	ada.say("still there?")
	grace.await(bubblesEnd("still there?"))
	grace.say("by polling")
	ada.await(bubblesEnd("by polling"))

	// A terminal is just another client, and any JSON can be seen.
	require.Equal(t, exitOK, run(t.Context(), []string{"pub", url + "/cometd", "/chat/lobby", `{"price":12.5}`}, console{nil, io.Discard, io.Discard}))
	ada.await(bubblesEnd(`{"price":12.5}`))

	// A third window gets what was said before.
	linus := browser.open(t, url, "Linus")
	linus.await(bubblesEnd(`{"price":12.5}`))
	linus.await(`document.querySelectorAll(".bubble").length === 5`)
	ada.await(noted("Linus joined")) // perhaps "Grace and Linus joined"
	linus.close()
	ada.await(peopleAre("Ada (you)/WebSocket", "Grace/Long-polling"))
	ada.await(noted("Linus left"))

	// The server goes and comes back: nothing to do but wait.
	stop()
	ada.await(`document.querySelector("#pill").dataset.state !== "connected"`)
	ada.say("said while you were away")
	address2, _ := serving(t, address, "--max-interval", "3s")
	require.Equal(t, address, address2)
	grace.await(bubblesEnd("said while you were away"))
	ada.await(`!document.querySelector(".sending, .failed")`)
	ada.await(peopleAre("Ada (you)/WebSocket", "Grace/Long-polling"))

	// A page that a browser had put away begins again, while its old end is
	// still under way.
	ada.eval(`dispatchEvent(new Event("pagehide")), dispatchEvent(Object.assign(new Event("pageshow"), {persisted: true}))`)
	ada.awaitText("#pill", "Connected by WebSocket")
	ada.say("back again")
	grace.await(bubblesEnd("back again"))

	for _, w := range []*window{ada, grace} {
		assert.Empty(t, w.complaints(), w.name)
	}
}

// What a history adds to messages disturbs nobody.
func TestChatPageWithAHistory(t *testing.T) {
	browser := openBrowser(t)
	address, _ := serving(t, "127.0.0.1:0", "--history", t.TempDir())
	ada := browser.open(t, "http://"+address, "Ada")
	grace := browser.open(t, "http://"+address, "Grace")
	ada.await(peopleAre("Ada (you)/WebSocket", "Grace/WebSocket"))
	ada.say("hello, history")
	grace.await(bubblesEnd("hello, history"))
	grace.say("and back")
	ada.await(bubblesEnd("and back"))
	ada.await(`!document.querySelector(".sending")`)
	for _, w := range []*window{ada, grace} {
		assert.Empty(t, w.complaints(), w.name)
	}
}

// On a phone the panels are sheets, nothing is wider than the screen, and one
// can chat.
func TestChatPageOnAPhone(t *testing.T) {
	browser := openBrowser(t)
	address, _ := serving(t, "127.0.0.1:0", "--max-interval", "3s")
	phone := browser.open(t, "http://"+address, "Ada", chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch))
	phone.awaitText("#pill", "Connected by WebSocket")
	phone.await(`document.documentElement.scrollWidth <= 390`)
	phone.await(`getComputedStyle(document.querySelector("#side")).visibility === "hidden"`)
	phone.click("[data-opens=side]")
	phone.await(`getComputedStyle(document.querySelector("#side")).visibility === "visible" && document.querySelector("main").inert`)
	phone.press("Escape")
	phone.await(`getComputedStyle(document.querySelector("#side")).visibility === "hidden" && !document.querySelector("main").inert`)
	phone.say("from a phone")
	phone.await(bubblesEnd("from a phone"))
	assert.Empty(t, phone.complaints())
}

type chromium struct{ ctx context.Context }

func openBrowser(t *testing.T) chromium {
	t.Helper()
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), flags...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx), "no Chromium: apt-get install chromium")
	return chromium{ctx}
}

// A window is one page with a session storage and cookies of its own.
type window struct {
	t     *testing.T
	name  string
	ctx   context.Context
	close func()
	said  chan string
}

// open opens the page as somebody of that name.
func (c chromium) open(t *testing.T, url, name string, steps ...chromedp.Action[chromedp.Void]) *window {
	t.Helper()
	ctx, cancel := chromedp.NewContext(c.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	w := &window{t: t, name: name, ctx: ctx, close: cancel, said: make(chan string, 100)}
	require.NoError(t, chromedp.Listen(ctx, w.hear))
	require.NoError(t, chromedp.Do(ctx, append(steps, chromedp.Navigate(url+"/icon.svg"))...))
	w.eval(fmt.Sprintf(`sessionStorage.me = JSON.stringify({id: "id-" + %q, name: %q})`, name, name))
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url)))
	return w
}

// hear keeps what the browser has against the page: errors of its code, and
// what its policy forbids. That a server is not there now and then is no fault
// of the page.
func (w *window) hear(event any) {
	text := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text + " " + e.ExceptionDetails.Exception.Description
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			text = e.Entry.Text
		}
	}
	if text != "" && !strings.Contains(text, "WebSocket connection") {
		select {
		case w.said <- text:
		default:
		}
	}
}

func (w *window) complaints() (all []string) {
	for {
		select {
		case text := <-w.said:
			all = append(all, text)
		default:
			return all
		}
	}
}

func (w *window) eval(expression string) bool {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
	require.NoError(w.t, err, "%s: %s", w.name, expression)
	return ok
}

// await asks until the expression holds. It is asked from here: the page's
// policy lets nothing in it compile code.
func (w *window) await(expression string) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !w.eval(expression); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			text, _ := chromedp.Run(w.ctx, chromedp.Evaluate[string](`document.body.innerText`))
			require.Failf(w.t, "the page never got there", "%s: %s\n%s\n%v", w.name, expression, text, w.complaints())
		}
	}
}

func (w *window) awaitText(selector, text string) {
	w.t.Helper()
	w.await(fmt.Sprintf(`document.querySelector(%q).textContent === %q`, selector, text))
}

func (w *window) say(text string) {
	w.t.Helper()
	require.NoError(w.t, chromedp.Do(w.ctx, chromedp.SendKeys(chromedp.CSS("#text"), text+"\n")))
}

func (w *window) press(key string) {
	w.t.Helper()
	w.eval(fmt.Sprintf(`document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: %q, bubbles: true}))`, key))
}

func (w *window) click(selector string) {
	w.t.Helper()
	require.NoError(w.t, chromedp.Do(w.ctx, chromedp.Click(chromedp.CSS(selector))))
}

func bubblesEnd(text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(".log:not([hidden]) .bubble")].at(-1)?.textContent.replace(/\s+/g, " ").replace(/([{}:]) | ([{}:])/g, "$1$2") === %q`, text)
}

func peopleAre(want ...string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#here li")].map(p => p.querySelector(".name").textContent + "/" + p.querySelector(".via").textContent).join() === %q`, strings.Join(want, ","))
}

func noted(text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(".note")].some(n => n.textContent.endsWith(%q))`, text)
}
