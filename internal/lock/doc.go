// Package lock has mutexes that know their place in the order in which this
// module's locks are taken, which stands in rank.go and nowhere else.
//
//	mu lock.Mutex[lock.Session]
//
// They are the sync package's, without a byte or an instruction more, until a
// program is built with the tag lockcheck. Then each of them looks, before it
// waits, at what its goroutine holds already, and panics where that is not above
// it in the order, whether or not somebody waits the other way round just then.
// [None] panics if the goroutine holds any but a [Turn]. .ci/run tests with the
// tag, and locks_test.go refuses mutexes that are none of these.
package lock
