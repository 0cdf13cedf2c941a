// Package transporttest is the suite of promises that every transport keeps.
//
// A transport's own tests call [Run] with a function that sets up both ends:
//
//	func TestPromises(t *testing.T) {
//		transporttest.Run(t, func(t testing.TB, limit int, serve func(transport.Conn)) transporttest.Dial {
//			s := startServer(t, limit, serve)
//			d := mine.NewDialer()
//			return func() (transport.Conn, error) {
//				return d.Dial(t.Context(), &transport.Target{URL: s.URL, HTTP: s.Client, Limit: limit})
//			}
//		})
//	}
//
// It works for streams and for Once transports, over real sockets or in memory,
// and finds out by itself which of them it has. Together with the race detector
// it also sees a Conn that changes or keeps memory that is not its own.
package transporttest
