// Package boltstore keeps the history of package replayserver in a file, so that
// a message whose publisher was told that it was taken survives the end of the
// process at any moment, and of the machine if its disk keeps what it was told
// to keep.
//
//	store, err := boltstore.Open("history.db", replayserver.Rule{Pattern: "/orders/**", Age: 72 * time.Hour})
//	defer store.Close()
//
// It stands on bbolt (go.etcd.io/bbolt), the B+ tree of etcd: one file that is
// consistent after each transaction without any recovery, so a store with a
// million messages opens in a fraction of a second; pure Go; kept by the etcd project and small
// enough to read. A log-structured store such as Pebble writes faster, but
// brings some forty packages, background threads and a recovery, and an embedded
// JetStream a whole message broker. What makes bbolt slow, a sync for each
// transaction, is shared: all messages that are under way at once are written
// in one.
//
// What the rules do not allow to be kept any longer is deleted in small parts,
// with what is written or, where nobody publishes, in the background; publishers
// wait for one part at most. The file does not shrink: what is deleted makes room
// in it for what comes.
//
// The file is locked: one process at a time can open it. A file that is not as it
// was written is [ErrDamaged], not a panic.
package boltstore
