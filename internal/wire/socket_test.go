//go:build !js

package wire

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/internal/wire/wiretest"
)

type say string

func (s say) AppendTo(dst []byte) []byte { return append(dst, s...) }

func asIs(_ string, err error) error { return err }

// inMemory is a Socket that can only be written with blocking, in fake time,
// and the peer's end of it.
func inMemory(t *testing.T, cfg Config) (*Socket, net.Conn) {
	here, there := net.Pipe()
	cfg.Explain = asIs
	s := NewSocket(here, cfg)
	require.False(t, s.CanStart())
	t.Cleanup(func() { there.Close(); s.Shut(1000, ""); s.Linger(0) })
	return s, there
}

// overTCP is a Socket that is written without blocking, with small buffers in
// the kernel.
func overTCP(t *testing.T, cfg Config) (*Socket, net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	there, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	here, err := ln.Accept()
	require.NoError(t, err)
	here.(*net.TCPConn).SetWriteBuffer(32 << 10)
	there.(*net.TCPConn).SetReadBuffer(32 << 10)
	cfg.Explain = asIs
	s := NewSocket(here, cfg)
	require.True(t, s.CanStart())
	t.Cleanup(func() { there.Close(); s.Shut(1000, ""); s.Linger(time.Second) })
	return s, there
}

// read takes whatever the peer sends, as a Reader would.
func read(s *Socket) <-chan error {
	ended := make(chan error, 1)
	go func() {
		for {
			var a ahead
			if err := s.receive(&a); err != nil {
				ended <- err
				return
			}
		}
	}()
	return ended
}

func TestSendFailsAfterTheStallLimitWithoutProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := inMemory(t, Config{Stall: 10 * time.Second})
		start := time.Now()
		assert.ErrorIs(t, s.Send(say("1")), ErrStalled)
		assert.Equal(t, 10*time.Second, time.Since(start))
		assert.ErrorIs(t, s.Send(say("2")), ErrStalled, "it stays dead, and says why")
		assert.Error(t, s.receive(new(ahead)), "the reader hears of it")
	})
}

func TestASlowPeerIsNotAStalledOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := inMemory(t, Config{Stall: 10 * time.Second})
		over := make(chan struct{})
		go func() {
			defer close(over)
			buf := make([]byte, piece)
			for {
				time.Sleep(9 * time.Second)
				if _, err := peer.Read(buf); err != nil {
					return
				}
			}
		}()
		start := time.Now()
		require.NoError(t, s.Send(say(strings.Repeat("x", 20*piece))))
		assert.Greater(t, time.Since(start), time.Minute)
		peer.Close()
		<-over
	})
}

func TestTheStallLimitIsOverWithTheFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := inMemory(t, Config{Stall: 10 * time.Second})
		go io.Copy(io.Discard, peer)
		require.NoError(t, s.Send(say("1")))
		time.Sleep(time.Hour)
		_, err := s.Conn.Write([]byte("2")) // such as TLS's own messages
		assert.NoError(t, err)
	})
}

func TestShutCutsAFrameThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := inMemory(t, Config{})
		sent := make(chan error, 1)
		go func() { sent <- s.Send(say("1")) }()
		synctest.Wait()
		start := time.Now()
		s.Shut(1000, "")
		assert.Zero(t, time.Since(start), "Shut waits for nobody")
		assert.ErrorIs(t, <-sent, net.ErrClosed)
		assert.Equal(t, farewell, time.Since(start))
	})
}

func TestShutLetsAFrameEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := inMemory(t, Config{})
		sent := make(chan error, 1)
		go func() { sent <- s.Send(say("1")) }()
		synctest.Wait()
		s.Shut(1001, "away")
		in := bufio.NewReader(peer)
		f, err := wiretest.Read(in)
		require.NoError(t, err)
		assert.Equal(t, "1", f.Payload)
		assert.NoError(t, <-sent)
		f, err = wiretest.Read(in)
		require.NoError(t, err)
		assert.Equal(t, wiretest.Code(1001, "away"), f.Payload)
	})
}

// A lateConn gets to writing a second late, as on a machine that is busy.
type lateConn struct{ net.Conn }

func (c lateConn) Write(p []byte) (int, error) {
	time.Sleep(time.Second)
	return c.Conn.Write(p)
}

func TestABusyMachineStillSaysWhyItCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		s := NewSocket(lateConn{here}, Config{Explain: asIs})
		go s.Shut(1001, "away")
		f, err := wiretest.Read(bufio.NewReader(there))
		require.NoError(t, err)
		assert.Equal(t, 1001, f.Code())
		there.Close()
		s.Linger(0)
	})
}

func TestControlFramesDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := inMemory(t, Config{})
		go s.Send(say("1"))
		synctest.Wait()
		for _, p := range []string{"a", "b", "c"} { // nothing of the frame is out yet
			s.pong([]byte(p))
		}
		go s.Send(say("2"))
		synctest.Wait()
		in := bufio.NewReader(peer)
		for _, want := range []string{"1", "2", "c"} {
			f, err := wiretest.Read(in)
			require.NoError(t, err)
			assert.Equal(t, want, f.Payload, "data first, then the newest pong")
		}
	})
}

func TestASilentPeerIsCutAfterAPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := inMemory(t, Config{})
		start := time.Now()
		s.Pulse(25*time.Second, 10*time.Second)
		ended := read(s)
		f, err := wiretest.Read(bufio.NewReader(peer))
		require.NoError(t, err)
		assert.Equal(t, byte(wiretest.Fin|wiretest.Ping), f.First)
		assert.Equal(t, 25*time.Second, time.Since(start))
		<-ended
		assert.Equal(t, 35*time.Second, time.Since(start))
		assert.ErrorIs(t, s.Send(say("1")), ErrSilent)
	})
}

func TestAPingThatCannotLeaveIsAsGoodAsUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := inMemory(t, Config{})
		go s.Send(say("1")) // blocks
		s.Pulse(25*time.Second, 10*time.Second)
		<-read(s)
		assert.ErrorIs(t, s.Send(say("2")), ErrSilent)
	})
}

// The answer's time begins when the ping can leave: until then the stall limit is
// for the peer.
func TestASlowPeerIsAskedWhenItHasTakenWhatWasBefore(t *testing.T) {
	for _, answers := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s, peer := inMemory(t, Config{Stall: 10 * time.Second})
			s.Pulse(25*time.Second, 10*time.Second)
			ended := read(s)
			over := make(chan struct{})
			go func() {
				defer close(over)
				buf := make([]byte, piece)
				for {
					time.Sleep(9 * time.Second)
					n, err := peer.Read(buf)
					if err != nil {
						return
					}
					if answers && buf[0] == wiretest.Fin|wiretest.Ping && n < piece {
						peer.Write([]byte("pong, or anything"))
					}
				}
			}()
			start := time.Now()
			require.NoError(t, s.Send(say(strings.Repeat("x", 20*piece))))
			assert.Greater(t, time.Since(start), time.Minute)
			if answers {
				time.Sleep(time.Hour)
				require.NoError(t, s.cause())
			} else {
				<-ended
				assert.ErrorIs(t, s.cause(), ErrSilent)
				assert.Less(t, time.Since(start), 21*9*time.Second+3*10*time.Second)
			}
			peer.Close()
			<-over
		})
	}
}

func TestAPeerThatSaysAnythingIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := inMemory(t, Config{})
		s.Pulse(25*time.Second, 10*time.Second)
		read(s)
		pings := make(chan int)
		go func() {
			n, in := 0, bufio.NewReader(peer)
			for {
				if _, err := wiretest.Read(in); err != nil {
					pings <- n
					return
				}
				n++
				peer.Write([]byte("pong, or anything"))
			}
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		require.NoError(t, s.cause())
		peer.Close()
		assert.InDelta(t, 3600/25, <-pings, 1)
	})
}

func TestAPeerThatNobodyListensToIsNotJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := inMemory(t, Config{})
		s.Pulse(25*time.Second, 10*time.Second)
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.NoError(t, s.cause())
	})
}

func TestStartNeverBlocksAndKeepsOrder(t *testing.T) {
	s, peer := overTCP(t, Config{Stall: time.Minute})
	const n = 300
	refused := make(chan int)
	go func() {
		kept, done := 0, make(chan error, 1)
		for i := range n {
			if !s.Start(say(strings.Repeat(string(rune('a'+i%26)), 1+i*50)), func(err error) { done <- err }) {
				kept++
				if !assert.NoError(t, <-done) {
					break
				}
			}
			s.pong([]byte("p"))
		}
		refused <- kept
	}()
	in := bufio.NewReader(slowly{peer})
	for i := 0; i < n; {
		f, err := wiretest.Read(in)
		require.NoError(t, err)
		if f.First == wiretest.Fin|wiretest.Pong {
			continue
		}
		require.Equal(t, strings.Repeat(string(rune('a'+i%26)), 1+i*50), f.Payload)
		i++
	}
	assert.Positive(t, <-refused, "the kernel took everything: this tested nothing")
}

// slowly reads little at a time.
type slowly struct{ io.Reader }

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(50 * time.Microsecond)
	return s.Reader.Read(p[:min(len(p), 2000)])
}

// fill Starts frames until the kernel has been full for a while.
func fill(t *testing.T, s *Socket) (frames int, done chan error) {
	done = make(chan error, 1)
	for {
		frames++
		if s.Start(say(strings.Repeat("x", 10_000)), func(err error) { done <- err }) {
			continue
		}
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(100 * time.Millisecond):
			return frames, done
		}
	}
}

func TestPongsForAPeerThatDoesNotReadAreBounded(t *testing.T) {
	s, peer := overTCP(t, Config{Stall: time.Minute})
	frames, done := fill(t, s)
	for i := range 10_000 {
		s.pong([]byte{byte('a' + i%26)})
	}
	in := bufio.NewReader(peer)
	for range frames {
		f, err := wiretest.Read(in)
		require.NoError(t, err)
		require.Equal(t, byte(wiretest.Fin|wiretest.Text), f.First)
	}
	require.NoError(t, <-done)
	f, err := wiretest.Read(in)
	require.NoError(t, err)
	assert.Equal(t, string(rune('a'+9_999%26)), f.Payload, "the newest")
	require.NoError(t, s.Send(say("end")))
	f, err = wiretest.Read(in)
	require.NoError(t, err)
	assert.Equal(t, "end", f.Payload, "and no other")
}

func TestWhatTheKernelRefusedHasItsLimit(t *testing.T) {
	s, _ := overTCP(t, Config{Stall: 2 * time.Second})
	_, done := fill(t, s)
	assert.ErrorIs(t, <-done, ErrStalled)
	assert.False(t, s.Start(say("x"), func(err error) { done <- err }))
	assert.ErrorIs(t, <-done, ErrStalled)
}

func TestShutEndsWhatTheKernelRefused(t *testing.T) {
	s, peer := overTCP(t, Config{Stall: time.Minute})
	frames, done := fill(t, s)
	s.Shut(1000, "")
	assert.ErrorIs(t, <-done, net.ErrClosed)
	in := bufio.NewReader(peer)
	for whole := 0; ; whole++ {
		f, err := wiretest.Read(in)
		if err != nil {
			assert.Less(t, whole, frames, "a frame that failed did not arrive")
			return
		}
		require.Equal(t, strings.Repeat("x", 10_000), f.Payload)
	}
}

func TestACloseFrameArrivesThoughThePeerHasMoreToSay(t *testing.T) {
	s, peer := overTCP(t, Config{})
	_, err := io.WriteString(peer, strings.Repeat("unread ", 1000))
	require.NoError(t, err)
	require.NoError(t, s.Send(say("last")))
	s.Shut(4403, "kicked")
	over := make(chan struct{})
	go func() { defer close(over); s.Linger(time.Minute) }()
	io.WriteString(peer, "more") // reset, if nobody is there
	in := bufio.NewReader(peer)
	f, err := wiretest.Read(in)
	require.NoError(t, err)
	assert.Equal(t, "last", f.Payload)
	f, err = wiretest.Read(in)
	require.NoError(t, err)
	assert.Equal(t, wiretest.Code(4403, "kicked"), f.Payload)
	_, err = in.ReadByte()
	assert.Equal(t, io.EOF, err)
	peer.Close()
	<-over
}

func TestASecondFrameAtOnceIsRefused(t *testing.T) {
	s, _ := overTCP(t, Config{Stall: time.Minute})
	_, done := fill(t, s)
	require.False(t, s.Start(say("1"), func(err error) { done <- err })) // one may wait
	assert.ErrorIs(t, s.Send(say("2")), errTwoFrames)
	s.Shut(1000, "")
	for range 2 {
		assert.Error(t, <-done)
	}
}
