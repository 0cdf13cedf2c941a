package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gocometd/cometd/internal/lock"
)

// A Store remembers positions. ch is a channel or pattern as it was subscribed
// to, without a filter. Its methods are for any goroutine.
type Store interface {
	// Load returns the position of ch, if there is one. It is called when a
	// subscription begins, and should be quick.
	Load(ctx context.Context, ch string) (id ID, found bool, err error)

	// Save stores it. It is called after each message, and returns when the
	// position is as safe as the store can make it.
	Save(ctx context.Context, ch string, id ID) error
}

// Memory is a [Store] that forgets with the process: sessions may come and go,
// but a new run begins at Config.First. The zero Memory is ready for use.
type Memory struct {
	mu        lock.Mutex[lock.Positions]
	positions map[string]ID
}

// Load returns the position of ch. It never fails.
func (m *Memory) Load(_ context.Context, ch string) (ID, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id, ok := m.positions[ch]
	return id, ok, nil
}

// Save stores the position of ch. It never fails.
func (m *Memory) Save(_ context.Context, ch string, id ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.positions == nil {
		m.positions = map[string]ID{}
	}
	m.positions[ch] = id
	return nil
}

// File makes a [Store] in a file, a JSON object of channels and ids that a
// person can read and change while no program uses it. Each Save replaces the
// file as a whole and waits for the disk, so that at any moment, also after a
// crash, it has all the positions of one moment. What is to take its place is
// written beside it, with ".tmp" at the end of the name, and has its mode, 0600 if
// there is no file yet; of a symbolic link the target is replaced. File fails, and
// names the file, if there is one that cannot be read or is no such object.
func File(path string) (Store, error) {
	f := &file{path: path, positions: map[string]ID{}}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, nil
	case err != nil:
		return nil, fmt.Errorf("replay: %w", err)
	}
	if err := json.Unmarshal(text, &f.positions); err != nil {
		return nil, fmt.Errorf("replay: positions in %s: %w", path, err)
	}
	if f.positions == nil {
		return nil, fmt.Errorf("replay: positions in %s: null, want an object", path)
	}
	return f, nil
}

type file struct {
	path string

	mu        lock.Turn[lock.Saving]
	positions map[string]ID
}

func (f *file) Load(_ context.Context, ch string) (ID, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, ok := f.positions[ch]
	return id, ok, nil
}

func (f *file) Save(_ context.Context, ch string, id ID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, had := f.positions[ch]
	f.positions[ch] = id
	text, err := json.MarshalIndent(f.positions, "", "\t")
	if err == nil {
		err = replace(f.path, append(text, '\n'))
	}
	if err == nil {
		return nil
	}
	if f.positions[ch] = before; !had {
		delete(f.positions, ch)
	}
	return fmt.Errorf("replay: position of %s: %w", ch, err)
}

// replace writes a file beside the one that path leads to, and puts it in its place
// once it is on the disk. Its name is always the same: what a process that was killed
// has left is the next one's.
func replace(path string, text []byte) error {
	path = followed(path)
	name := path + ".tmp"
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // not what a stranger has put there
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	if info, none := os.Stat(path); none == nil {
		err = errors.Join(err, tmp.Chmod(info.Mode().Perm()))
	}
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(name))
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = errors.Join(dir.Sync(), dir.Close()) // the name, too; not every system can
	}
	return nil
}

// followed is where path leads if it is a symbolic link, also to a file that is yet
// to be made.
func followed(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	to, err := os.Readlink(path)
	if err != nil {
		return path
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil && !filepath.IsAbs(to) {
		to = filepath.Join(dir, to)
	}
	return to
}
