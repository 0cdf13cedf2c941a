package ack_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/cometdtest"
	"github.com/gocometd/cometd/ext/ack"
)

// Nudge gives a connect up whose reply is on its way, with events before it. The next
// one acknowledges what came before those, so a reference server sends them again.
func TestNudgeRepeatsNothing(t *testing.T) {
	for name, test := range map[string]struct {
		steps string // a letter is an event; !: Nudge, and another connect; .: the reply to the oldest; _: none to that
		want  string
	}{
		"all on its way":             {"!a.a.b.", "ab"},
		"events before":              {"a!.a.b.", "ab"},
		"an event before, one after": {"a!b.ab.c.", "abc"},
		"equal events":               {"a!a.aa.a.", "aaa"},
		"new ones behind":            {"!a.abc.d.", "abcd"},
		"nothing on its way":         {"!_a.b.", "ab"},
		"an empty reply on its way":  {"!.a.b.", "ab"},
		"twice":                      {"!!a.a.a.b.", "ab"},
		"twice, with one each":       {"!!a.ab.abc.d.", "abcd"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := cometdtest.NewScript(t)
				c := s.Dial(client.WithExtension(ack.Client()))
				hs := s.Expect(bayeux.MetaHandshake)
				s.Reply(hs, &bayeux.Message{
					Channel: hs.Channel, ID: hs.ID, Outcome: bayeux.Succeeded, ClientID: "c", Version: "1.0",
					SupportedConnectionTypes: []string{bayeux.WebSocket}, Ext: bayeux.Ext{ack.Name: []byte("true")},
				})
				n := 0
				var connects []string // unanswered
				reply := func() {
					n++
					s.Raw(fmt.Sprintf(`[{"channel":"/meta/connect","id":%q,"successful":true,"advice":{"timeout":3600000,"interval":0,"reconnect":"retry"},"ext":{"ack":%d}}]`, connects[0], n))
					connects = connects[1:]
				}
				connect := func() { connects = append(connects, s.Expect(bayeux.MetaConnect).ID) }
				connect()
				reply()
				connect()
				var got strings.Builder
				go func() {
					_, err := c.SubscribeFunc(t.Context(), "/a", func(_ context.Context, m *bayeux.Message) error {
						got.Write(m.Data[1 : len(m.Data)-1])
						return nil
					}, client.WithOnGap(func(g client.Gap) { t.Errorf("gap: %+v", g) }))
					assert.NoError(t, err)
				}()
				s.Reply(s.Expect(bayeux.MetaSubscribe))
				for _, step := range test.steps {
					switch step {
					case '!':
						c.Nudge()
						connect()
					case '_':
						connects = connects[1:]
					case '.':
						if reply(); len(connects) == 0 {
							connect()
						}
					default:
						s.Raw(fmt.Sprintf(`[{"channel":"/a","data":"%c"}]`, step))
					}
					synctest.Wait()
				}
				assert.Equal(t, test.want, got.String())
				assert.Zero(t, c.Stats().Reconnects)
				require.NoError(t, c.Close())
				time.Sleep(time.Second)
			})
		})
	}
}
