package boltstore

import bolt "go.etcd.io/bbolt"

// InFile is what is in the file of a store: channels that are known, and messages
// of any, whatever the rules.
func InFile(s *Store) (channels, messages int, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		channels = tx.Bucket(channelsBucket).Stats().KeyN
		all := tx.Bucket(messagesBucket)
		return all.ForEachBucket(func(name []byte) error {
			messages += all.Bucket(name).Stats().KeyN
			return nil
		})
	})
	return channels, messages, err
}
