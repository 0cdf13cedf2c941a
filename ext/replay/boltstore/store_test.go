package boltstore_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/boltstore"
	"github.com/gocometd/cometd/ext/replay/internal/dropped"
	"github.com/gocometd/cometd/ext/replay/replayserver"
)

// publishingTo makes this test binary a program that publishes until it is
// killed.
const publishingTo = "COMETD_TEST_HISTORY"

func TestMain(m *testing.M) {
	if path := os.Getenv(publishingTo); path != "" {
		publishForEver(path)
	}
	goleak.VerifyTestMain(m)
}

// publishForEver keeps messages from many goroutines and prints each that is
// safe.
func publishForEver(path string) {
	s, err := boltstore.Open(path, replayserver.Rule{Pattern: "/**"})
	if err != nil {
		panic(err)
	}
	var wg sync.WaitGroup
	for p := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id, err := put(s, fmt.Sprintf("/a/%d", p), fmt.Sprint(i))
				if err != nil {
					panic(err)
				}
				os.Stdout.WriteString(fmt.Sprintf("%d /a/%d %d\n", id, p, i))
			}
		})
	}
	wg.Wait()
}

// put keeps one message and waits.
func put(s *boltstore.Store, ch, data string) (replay.ID, error) {
	type outcome struct {
		id  replay.ID
		err error
	}
	done := make(chan outcome, 1)
	s.Append(ch, func(replay.ID) []byte { return []byte(data) }, func(id replay.ID, _ []byte, err error) { done <- outcome{id, err} })
	o := <-done
	return o.id, o.err
}

func open(t *testing.T, path string, rules ...replayserver.Rule) *boltstore.Store {
	if len(rules) == 0 {
		rules = []replayserver.Rule{{Pattern: "/**"}}
	}
	s, err := boltstore.Open(path, rules...)
	require.NoError(t, err)
	return s
}

func ids(t *testing.T, s *boltstore.Store, pattern string, after replay.ID) (all []replay.ID) {
	require.NoError(t, s.Read(t.Context(), pattern, after, 1<<62, func(m replayserver.Message) bool {
		all = append(all, m.ID)
		return true
	}))
	return all
}

// A process is killed in the middle of writing, again and again: what it said is
// safe is there, and the store opens.
func TestKilledProcessesLoseNothingThatWasSafe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.db")
	total := 0
	for round := range 6 {
		cmd := exec.Command(os.Args[0], "-test.run=none")
		cmd.Env = append(os.Environ(), publishingTo+"="+path)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		safe := map[replay.ID]string{}
		n, enough := 0, 100*(round+1)
		for lines := bufio.NewScanner(out); lines.Scan(); n++ {
			if n == enough {
				cmd.Process.Kill() // it goes on writing meanwhile
			}
			id, rest, ok := strings.Cut(lines.Text(), " ")
			if n, err := strconv.ParseInt(id, 10, 64); ok && err == nil && strings.Count(rest, " ") == 1 {
				safe[replay.ID(n)] = rest
			}
		}
		cmd.Wait()
		require.Greater(t, n, enough, "it ended by itself")
		s := open(t, path)
		last := replay.ID(0)
		require.NoError(t, s.Read(t.Context(), "/**", 0, 1<<62, func(m replayserver.Message) bool {
			assert.Greater(t, m.ID, last)
			last = m.ID
			if want, ok := safe[m.ID]; ok && len(want) > 0 && want != m.Channel+" "+string(m.Data) {
				// The last line may be cut short by the kill.
				assert.True(t, strings.HasPrefix(m.Channel+" "+string(m.Data), want), "%q %q", want, m.Data)
			}
			delete(safe, m.ID)
			total++
			return true
		}))
		assert.Empty(t, safe, "lost though it was safe")
		require.NoError(t, s.Close())
	}
	t.Logf("%d messages read", total)
	require.Positive(t, total)
}

func TestAStoreGoesOnWhereItWasClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.db")
	s := open(t, path)
	first, err := put(s, "/a", "1")
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, err = put(s, "/a", "2")
	assert.ErrorIs(t, err, boltstore.ErrClosed)
	assert.ErrorIs(t, s.Close(), boltstore.ErrClosed)
	s = open(t, path)
	second, err := put(s, "/a", "2")
	require.NoError(t, err)
	assert.Equal(t, first+1, second)
	assert.Equal(t, []replay.ID{first, second}, ids(t, s, "/a", 0))
	gone, last, err := s.Bounds("/a")
	require.NoError(t, err)
	assert.Equal(t, []replay.ID{first - 1, second}, []replay.ID{gone, last})
	require.NoError(t, s.Close())
}

func TestRetentionIsByPattern(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.db")
	s := open(t, path, replayserver.Rule{Pattern: "/few/*", Messages: 3}, replayserver.Rule{Pattern: "/small", Bytes: 10}, replayserver.Rule{Pattern: "/short", Age: time.Nanosecond}, replayserver.Rule{Pattern: "/all"})
	var few []replay.ID
	for range 10 {
		for _, ch := range []string{"/few/a", "/few/b", "/small", "/short", "/all"} {
			id, err := put(s, ch, "12345")
			require.NoError(t, err)
			if ch == "/few/a" {
				few = append(few, id)
			}
		}
	}
	for ch, want := range map[string]int{"/few/a": 3, "/few/*": 6, "/small": 2, "/short": 0, "/all": 10, "/**": 18, "/other": 0} {
		assert.Len(t, ids(t, s, ch, 0), want, ch)
	}
	gone, _, err := s.Bounds("/few/a")
	require.NoError(t, err)
	assert.Equal(t, few[6], gone)
	tail, err := s.Tail("/few/a", 2)
	require.NoError(t, err)
	assert.Equal(t, few[8:], []replay.ID{tail[0].ID, tail[1].ID})
	all, err := s.Tail("/**", 100)
	require.NoError(t, err)
	assert.Len(t, all, 18)
	assert.False(t, s.Keeps("/other"))
	require.NoError(t, s.Close())
}

// fill keeps n messages on a channel, as fast as they can be.
func fill(t *testing.T, s *boltstore.Store, ch string, n int) {
	var wg sync.WaitGroup
	wg.Add(n)
	data := []byte(strings.Repeat("x", 128))
	for range n {
		s.Append(ch, func(replay.ID) []byte { return data }, func(_ replay.ID, _ []byte, err error) {
			if err != nil {
				t.Error(err)
			}
			wg.Done()
		})
	}
	wg.Wait()
}

// awaitFile waits until a store's file has what it should have.
func awaitFile(t *testing.T, s *boltstore.Store, what string, is func(boltstore.Contents) bool) boltstore.Contents {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		c := look(t, s)
		if is(c) {
			return c
		}
		require.True(t, time.Now().Before(end), "%s: there is %+v", what, c)
	}
}

func look(t *testing.T, s *boltstore.Store) boltstore.Contents {
	c, err := boltstore.InFile(s)
	assert.NoError(t, err)
	return c
}

// A commit deletes as many messages as slice, in trim.go, says.
const mostDeleted = 1000

// overfull is the path of a store with far more messages than rules will allow,
// and what is in it.
func overfull(t *testing.T) (path string, c boltstore.Contents) {
	path = filepath.Join(t.TempDir(), "h.db")
	s := open(t, path)
	fill(t, s, "/a", 30_000)
	c = look(t, s)
	require.NoError(t, s.Close())
	return path, c
}

// With new rules, or all at once for their age, many messages are to be deleted:
// each commit deletes a few of them, and those who publish wait for one.
func TestTrimmingStallsNobodyWhoPublishes(t *testing.T) {
	const rest = 1000
	path, before := overfull(t)
	s := open(t, path, replayserver.Rule{Pattern: "/**", Messages: rest})
	commits := make(chan int, 2)
	data := func(replay.ID) []byte { return []byte("new") }
	note := func() { commits <- look(t, s).Commits }
	s.Append("/a", data, func(replay.ID, []byte, error) {
		note()
		s.Append("/a", data, func(replay.ID, []byte, error) { note() }) // in the midst of the trimming, unless the machine is slow
	})
	assert.Equal(t, <-commits+1, <-commits, "the next commit has it")
	after := awaitFile(t, s, "in the background, though nobody publishes", func(c boltstore.Contents) bool { return c.Messages == rest })
	assert.LessOrEqual(t, before.Messages-rest, mostDeleted*(after.Commits-before.Commits))
	assert.Eventually(t, func() bool { // the file has it first
		gone, last, err := s.Bounds("/a")
		return assert.NoError(t, err) && last-gone == rest
	}, time.Minute, time.Millisecond)
	assert.Len(t, ids(t, s, "/a", 0), rest)
	require.NoError(t, s.Close())
}

// Nor does who closes the store wait for all that is to be deleted.
func TestTrimmingDoesNotDelayClose(t *testing.T) {
	path, _ := overfull(t)
	s := open(t, path, replayserver.Rule{Pattern: "/**", Messages: 1})
	closed := make(chan error)
	var begun boltstore.Contents
	s.Append("/a", func(replay.ID) []byte { return nil }, func(replay.ID, []byte, error) {
		// Nothing is written until this returns, which it does when Close has begun.
		begun = look(t, s)
		go func() { closed <- s.Close() }()
		over := false
		for ; !over; time.Sleep(time.Millisecond) {
			s.Append("/a", func(replay.ID) []byte { return nil }, func(_ replay.ID, _ []byte, err error) { over = over || err != nil })
		}
	})
	require.NoError(t, <-closed)
	s = open(t, path, replayserver.Rule{Pattern: "/none"}) // in a commit of its own
	ended := look(t, s)
	t.Logf("%+v when Close began, %+v now", begun, ended)
	assert.LessOrEqual(t, ended.Commits-1-begun.Commits, 1, "for what waited to be written")
	require.NoError(t, s.Close())
}

// Channels that nobody publishes on any more leave the file, too.
func TestWhatIsTooOldLeavesTheFileByItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.db")
	s := open(t, path, replayserver.Rule{Pattern: "/short/*", Age: time.Second}, replayserver.Rule{Pattern: "/**"})
	for i := range 2000 {
		s.Append(fmt.Sprintf("/short/%d", i), func(replay.ID) []byte { return []byte("x") }, func(replay.ID, []byte, error) {})
	}
	last, err := put(s, "/long", "x")
	require.NoError(t, err)
	awaitFile(t, s, "only /long stays", func(c boltstore.Contents) bool { return c.Messages == 1 })
	gone, _, err := s.Bounds("/short/*")
	require.NoError(t, err)
	assert.Equal(t, last-1, gone)
	assert.Len(t, ids(t, s, "/long", 0), 1)
	require.NoError(t, s.Close())
}

func TestAFileOfAnotherFormatIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.db")
	require.NoError(t, open(t, path).Close())
	db, err := bolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte("store")).Put([]byte("format"), []byte{9}) }))
	require.NoError(t, db.Close())
	_, err = boltstore.Open(path)
	require.ErrorContains(t, err, "format")
	require.ErrorContains(t, err, path)
	assert.NotErrorIs(t, err, boltstore.ErrDamaged)
}

func TestAFileOfTheFormatBeforeIsTaken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.db")
	s := open(t, path)
	id, err := put(s, "/a", "x")
	require.NoError(t, err)
	require.NoError(t, s.Close())
	db, err := bolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte("store")).Put([]byte("format"), []byte{1}) }))
	require.NoError(t, db.Close())
	s = open(t, path)
	assert.Equal(t, []replay.ID{id}, ids(t, s, "/a", 0))
	require.NoError(t, s.Close())
}

func TestChannelsWithoutMessagesLeaveTheFileAndTheirGapsStay(t *testing.T) {
	const names = dropped.Kept + 3000
	path := filepath.Join(t.TempDir(), "h.db")
	brief := replayserver.Rule{Pattern: "/brief/**", Age: time.Millisecond}
	s := open(t, path, brief)
	id, err := put(s, "/brief/first", "x")
	require.NoError(t, err)
	for i := range names {
		s.Append(fmt.Sprintf("/brief/%d", i), func(replay.ID) []byte { return []byte("x") }, func(replay.ID, []byte, error) {})
	}
	_, err = put(s, "/brief/last", "x")
	require.NoError(t, err)
	awaitFile(t, s, "few stay", func(c boltstore.Contents) bool { return c.Channels <= dropped.Kept })
	for range 2 {
		for _, ch := range []string{"/brief/first", "/brief/1", fmt.Sprintf("/brief/%d", names-1)} {
			gone, last, err := s.Bounds(ch)
			require.NoError(t, err)
			assert.Greater(t, gone, id-1, ch)
			assert.LessOrEqual(t, gone, last, ch)
			err = s.Read(t.Context(), ch, id-1, last, func(replayserver.Message) bool { return true })
			assert.ErrorIs(t, err, replayserver.ErrTrimmed, ch)
		}
		require.NoError(t, s.Close())
		s = open(t, path, brief) // and by the file
	}
	require.NoError(t, s.Close())
}

func TestARuleThatKeepsNothingIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.db")
	_, err := boltstore.Open(path, replayserver.Rule{Pattern: "orders/**"})
	require.ErrorContains(t, err, "orders/**")
	assert.NoFileExists(t, path)
}

// A long past is read in small parts, and the store opens without reading its
// messages.
// COMETD_LONG=1 makes it a million messages.
func TestALongPastIsReadWithoutLoadingIt(t *testing.T) {
	n := 20_000
	if os.Getenv("COMETD_LONG") != "" {
		n = 1_000_000
	}
	path := filepath.Join(t.TempDir(), "h.db")
	s := open(t, path)
	begin := time.Now()
	fill(t, s, "/a", n)
	t.Logf("written: %v", time.Since(begin))
	require.NoError(t, s.Close())
	begin = time.Now()
	s = open(t, path)
	t.Logf("opened: %v", time.Since(begin))
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most, got := uint64(0), 0
	begin = time.Now()
	require.NoError(t, s.Read(t.Context(), "/a", 0, 1<<62, func(m replayserver.Message) bool {
		if got++; got%(n/10) == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
		return true
	}))
	t.Logf("read: %v, heap grew by %d KiB", time.Since(begin), (int64(most)-int64(before.HeapAlloc))>>10)
	assert.Equal(t, n, got)
	assert.Less(t, int64(most)-int64(before.HeapAlloc), int64(1<<20))
	require.NoError(t, s.Close())
}

// What one message costs, alone and in company: a sync of the disk is shared by
// all that are under way.
//
//	go test -run xxx -bench Append ./ext/replay/boltstore
func BenchmarkAppend(b *testing.B) {
	for _, publishers := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint(publishers), func(b *testing.B) {
			s, err := boltstore.Open(filepath.Join(b.TempDir(), "h.db"), replayserver.Rule{Pattern: "/**"})
			require.NoError(b, err)
			defer s.Close()
			slots := make(chan struct{}, publishers)
			data := []byte(strings.Repeat("x", 128))
			for b.Loop() {
				slots <- struct{}{}
				s.Append("/a", func(replay.ID) []byte { return data }, func(replay.ID, []byte, error) { <-slots })
			}
			for range publishers {
				slots <- struct{}{}
			}
		})
	}
}

func Example() {
	dir, _ := os.MkdirTemp("", "history")
	defer os.RemoveAll(dir)
	s, err := boltstore.Open(filepath.Join(dir, "history.db"), replayserver.Rule{Pattern: "/orders/**", Age: 72 * time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	put(s, "/orders/new", `{"item":"tea"}`)
	s.Read(context.Background(), "/orders/*", 0, 1<<62, func(m replayserver.Message) bool {
		fmt.Println(m.Channel, string(m.Data))
		return true
	})
	// Output: /orders/new {"item":"tea"}
}

// The channels that a file has count in the next run, each once, and go on.
func TestTheBoundOnChannelsHoldsInTheNextRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.db")
	s := open(t, path)
	for i := range 4 {
		_, err := put(s, fmt.Sprintf("/a/%d", i), "1")
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	few := replayserver.Rule{Pattern: "/a/*", Channels: 3, Messages: 2}
	s = open(t, path, few)
	for i := range 8 {
		_, err := put(s, fmt.Sprintf("/a/%d", i), "2")
		assert.Equal(t, i < 4, err == nil, err)
	}
	require.NoError(t, s.Close())
	few.Channels = 5
	s = open(t, path, few)
	for i := range 8 {
		_, err := put(s, fmt.Sprintf("/a/%d", i), "3")
		assert.Equal(t, i < 5, err == nil, err)
	}
	require.NoError(t, s.Close())
}
