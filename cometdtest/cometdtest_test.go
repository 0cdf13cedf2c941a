package cometdtest_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/cometdtest"
	"github.com/gocometd/cometd/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watch is a program under test: it acknowledges every alert.
func watch(ctx context.Context, c *client.Client) {
	sub, err := c.Subscribe(ctx, "/alerts")
	if err != nil {
		return
	}
	for m := range sub.Messages(ctx) {
		c.Publish(ctx, "/acks", m.Data)
	}
}

func TestAProgramSurvivesACutAndAForgottenSession(t *testing.T) {
	for name, newServer := range servers {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			srv := newServer(t)
			go watch(ctx, srv.Dial())
			defer cancel()
			srv.AwaitSubscriber("/alerts")
			srv.Cut()
			srv.Forget()
			srv.AwaitSubscriber("/alerts")
			require.NoError(t, srv.Publish(ctx, "/alerts", "fire"))
			assert.JSONEq(t, `"fire"`, string(srv.AwaitPublished("/acks").Data))
		})
	}
}

var servers = map[string]func(t *testing.T) *cometdtest.Server{
	"memory": func(t *testing.T) *cometdtest.Server { return cometdtest.NewServer(t) },
	"http":   func(t *testing.T) *cometdtest.Server { return cometdtest.NewHTTPServer(t) },
}

func TestAnHourOfOutageTakesNoTimeInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := cometdtest.NewServer(t)
		c := srv.Dial()
		require.NoError(t, c.Wait(t.Context()))
		_, err := c.SubscribeFunc(t.Context(), "/a", func(context.Context, *bayeux.Message) error { return nil })
		require.NoError(t, err)
		srv.Down()
		time.Sleep(time.Hour)
		srv.Up()
		time.Sleep(time.Minute)
		srv.AwaitSubscriber("/a")
		c.Close()
		srv.Close()
	})
}

func TestAFaultReplacesWhatTheServerSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := cometdtest.NewServer(t)
		c := srv.Dial()
		sub, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		srv.Fault(func(m *bayeux.Message) *bayeux.Message {
			if m.Channel == "/a" {
				m.Data = []byte(`"bad"`)
			}
			return m
		})
		require.NoError(t, srv.Publish(t.Context(), "/a", "good"))
		for m := range sub.Messages(t.Context()) {
			assert.Equal(t, `"bad"`, string(m.Data))
			break
		}
		c.Close()
		srv.Close()
	})
}

func TestAScriptAnswersAsItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cometdtest.NewScript(t)
		c := s.Dial()
		s.Reply(s.Expect(bayeux.MetaHandshake))
		s.Reply(s.Expect(bayeux.MetaConnect))
		require.NoError(t, c.Wait(t.Context()))
		s.Expect(bayeux.MetaConnect)
		go c.Publish(t.Context(), "/a", 1)
		m := s.Expect("/a")
		assert.Equal(t, "1", string(m.Data))
		s.Raw(fmt.Sprintf(`[{"channel":"/a","id":%q,"successful":true}]`, m.ID))
		synctest.Wait()
		c.Close()
		s.Close()
	})
}

// It comes to each reader at once, and is no message that was measured.
func TestAnAudienceOfAChannelThatKeepsItsLatestMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := cometdtest.NewServer(t, server.WithChannel("/a", server.ChannelOptions{SendLast: true}))
		require.NoError(t, srv.Publish(t.Context(), "/a", "before"))
		readers := srv.Audience(3, "/a")
		synctest.Wait()
		require.NoError(t, srv.Publish(t.Context(), "/a", 1))
		readers.Await(3)
		synctest.Wait()
		assert.Zero(t, readers.Latency(1))
		srv.Close()
	})
}

func BenchmarkAudience(b *testing.B) {
	srv := cometdtest.NewHTTPServer(b)
	readers := srv.Audience(100, "/quotes/ACME")
	for b.Loop() {
		if err := srv.Publish(b.Context(), "/quotes/ACME", 1); err != nil {
			b.Fatal(err)
		}
	}
	readers.Await(100 * b.N)
	b.ReportMetric(float64(readers.Latency(0.99)), "p99-ns")
}
