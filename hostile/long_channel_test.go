package hostile_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/server"
)

// longChannels have as many slashes as a message has room for: a name that no
// grammar takes, and a good one.
var longChannels = map[string]string{"slashes alone": strings.Repeat("/", 262_000), "segments": strings.Repeat("/a", 130_900)}

// soon is for a busy machine and the race detector: some milliseconds are usual. When
// the server walked all patterns of such a channel it took forty seconds.
const soon = 5 * time.Second

// A channel of a hundred thousand segments is answered like any other, however it
// is refused, or if it is not, and meanwhile channels come into being.
func TestAVeryLongChannelHoldsNobodyUp(t *testing.T) {
	for name, l := range map[string]server.Limits{"as a rule": {}, "without a limit of channels": {ChannelBytes: -1, ChannelSegments: -1}} {
		t.Run(name, func(t *testing.T) {
			x := attack(t, server.WithLimits(l))
			s := x.joined()
			id, cookie := x.polling()
			longest := x.publishesMeanwhile()
			for shape, ch := range longChannels {
				for what, rest := range map[string]string{
					"its own session": `"id":"z","clientId":%q`, "nobody's session": `"id":"z","clientId":"x%.0s"`,
					"a wrong id": `"id":"-","clientId":%q`, "too long an id": `"id":"` + strings.Repeat("z", 70) + `","clientId":%q`,
				} {
					begun := time.Now()
					s.text(fmt.Sprintf(`[{"channel":%q,`+rest+`}]`, ch, s.id))
					require.Equal(t, ch, s.expect()[0].Channel)
					assert.Less(t, time.Since(begun), soon, "socket, %s, %s", shape, what)
					begun = time.Now()
					require.Equal(t, ch, x.ask(fmt.Sprintf(`[{"channel":%q,`+rest+`}]`, ch, id), cookie)[0].Channel)
					assert.Less(t, time.Since(begun), soon, "HTTP, %s, %s", shape, what)
				}
			}
			assert.Less(t, longest(), soon, "a publish on another channel")
			s.Close()
			x.over()
		})
	}
}

// publishesMeanwhile publishes on one new channel after the other, until longest is
// asked for, and the test ends at the latest: how long one took at most.
func (x *target) publishesMeanwhile() (longest func() time.Duration) {
	var most time.Duration
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			begun := time.Now()
			assert.NoError(x.t, x.Publish(context.Background(), fmt.Sprint("/meanwhile/", n), n))
			most = max(most, time.Since(begun))
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	end := sync.OnceFunc(func() { close(stop); <-stopped })
	x.t.Cleanup(end)
	return func() time.Duration { end(); return most }
}
