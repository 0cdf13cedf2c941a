package boltstore

import bolt "go.etcd.io/bbolt"

// Contents is what is in the file of a store, whatever the rules.
type Contents struct {
	Channels, Messages int
	Commits            int // that were ever made
}

// InFile looks at the file of a store.
func InFile(s *Store) (c Contents, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		c.Commits = tx.ID()
		c.Channels = tx.Bucket(channelsBucket).Stats().KeyN
		all := tx.Bucket(messagesBucket)
		return all.ForEachBucket(func(name []byte) error {
			c.Messages += all.Bucket(name).Stats().KeyN
			return nil
		})
	})
	return c, err
}

// Largest has messages with more than n bytes of data not fit into the file.
func Largest(s *Store, n int) { s.largest = n }
