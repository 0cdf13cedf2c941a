package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A benchBar shows how far a run is, where somebody can see it.
type benchBar struct {
	bar     *progressbar.ProgressBar
	stop    chan struct{}
	drawing sync.WaitGroup
}

func (b *benchCmd) progress(tty console, count *benchCount, about string) *benchBar {
	file, ok := tty.err.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	all := b.WarmUp + b.Duration
	bar := &benchBar{stop: make(chan struct{})}
	bar.bar = progressbar.NewOptions64(all.Milliseconds(),
		progressbar.OptionSetWriter(file), progressbar.OptionSetWidth(30),
		progressbar.OptionSetPredictTime(false), progressbar.OptionClearOnFinish())
	bar.drawing.Go(func() { bar.draw(count, all, about) })
	return bar
}

func (b *benchBar) draw(count *benchCount, all time.Duration, about string) {
	began, every := time.Now(), time.NewTicker(200*time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			b.bar.Describe(fmt.Sprintf("%s%d delivered", about, count.received()))
			_ = b.bar.Set64(min(time.Since(began), all-time.Millisecond).Milliseconds()) // nothing hangs on a picture
		case <-b.stop:
			return
		}
	}
}

// end removes the bar.
func (b *benchBar) end() {
	if b == nil {
		return
	}
	close(b.stop)
	b.drawing.Wait()
	_ = b.bar.Finish()
}
