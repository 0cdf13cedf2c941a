package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// ErrDamaged is what [Open] fails with where the file is not as it was written:
// cut short, overwritten, of another kind. Nothing has been changed then; an
// operator puts a copy in its place, or moves it away and begins anew. A store
// whose file is spoiled while it is open fails with it from then on, until it is
// opened again.
var ErrDamaged = errors.New("boltstore: damaged")

// guarded calls f, which calls bbolt. What bbolt panics with, and the fault of
// reading memory that the file does not reach any more, are errors.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = panicked{r}
		}
	}()
	return f()
}

// panicked is damage that left bbolt in the middle of something.
type panicked struct{ with any }

func (p panicked) Error() string        { return fmt.Sprintf("%v: %v", ErrDamaged, p.with) }
func (p panicked) Is(target error) bool { return target == ErrDamaged }

func isPanicked(err error) bool { return errors.As(err, new(panicked)) }

// openFile opens path once nothing in it can lead bbolt astray.
func openFile(path string) (db *bolt.DB, file *os.File, err error) {
	options := bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType, NoFreelistSync: false}
	options.OpenFile = func(path string, flag int, mode os.FileMode) (*os.File, error) {
		var err error
		file, err = os.OpenFile(path, flag, mode)
		return file, err
	}
	open := func(readOnly bool) error {
		options.ReadOnly = readOnly
		err := guarded(func() (err error) {
			db, err = bolt.Open(path, 0o600, &options)
			return err
		})
		if isPanicked(err) {
			err = errors.Join(err, file.Close()) // bbolt had no time for it
		}
		return err
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > 0 {
		if err := open(true); err != nil {
			return nil, nil, blamed(err)
		}
		err := looked(db, file)
		if err = errors.Join(err, db.Close()); err != nil {
			return nil, nil, err
		}
	}
	isNew := errors.Is(err, fs.ErrNotExist)
	if err = open(false); err != nil && !errors.Is(err, berrors.ErrTimeout) { // of a timeout: another process has made it
		switch {
		case isNew:
			err = errors.Join(err, removed(path))
		case info != nil && info.Size() == 0:
			err = errors.Join(err, os.Truncate(path, 0))
		}
	}
	return db, file, err
}

// removed removes a file of which bbolt could not write enough to open it ever again,
// if it could make it.
func removed(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// blamed says whether it is the file that bbolt did not open for, or the system.
func blamed(err error) error {
	if errors.As(err, new(*fs.PathError)) || errors.As(err, new(syscall.Errno)) ||
		errors.Is(err, berrors.ErrTimeout) || errors.Is(err, berrors.ErrVersionMismatch) || errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// looked says what is wrong with an open file.
func looked(db *bolt.DB, file *os.File) error {
	info, err := file.Stat()
	if err == nil {
		err = verify(file, info.Size(), db.Info().PageSize)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// view and update are bbolt's, for as long as the file is sound. Once bbolt has
// panicked its locks are as they happen to be, and it is not called again.
func (s *Store) view(f func(*bolt.Tx) error) error {
	return s.sound(func() error { return s.db.View(f) })
}

func (s *Store) update(f func(*bolt.Tx) error) error {
	return s.sound(func() error { return s.db.Update(f) })
}

func (s *Store) sound(f func() error) error {
	if err := s.damage.Load(); err != nil {
		return *err
	}
	err := guarded(f)
	if isPanicked(err) {
		err = fmt.Errorf("%w: %s", err, s.db.Path())
		s.damage.CompareAndSwap(nil, &err)
	}
	return err
}

// prefixed says whose error it is.
func prefixed(err error) error {
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("boltstore: %w", err)
}
