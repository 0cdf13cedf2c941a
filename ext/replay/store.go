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
// crash, it has all the positions of one moment. It fails, and names the file,
// if there is one that cannot be read or is no such object.
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

// replace writes a file beside path and puts it in path's place once it is on
// the disk.
func replace(path string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = errors.Join(dir.Sync(), dir.Close()) // the name, too; not every system can
	}
	return nil
}
