package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

// A stalledClient subscribes over WebSocket and reads nothing after that. Its
// socket takes little by itself, so that a server feels it soon.
type stalledClient struct {
	conn   transport.Conn
	web    *http.Transport
	id     string
	number int
}

func (r *benchRun) stall(ctx context.Context, channel string) (*stalledClient, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Wait)
	defer cancel()
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, err
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	s := &stalledClient{web: r.web.Transport.(*http.Transport).Clone()}
	s.web.DialContext = s.dial
	s.conn, err = wsclient.NewDialer(wsclient.WithPing(0, 0)).Dial(ctx, &transport.Target{URL: u, HTTP: &http.Client{Jar: jar, Transport: s.web}, Limit: 1 << 20})
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { s.conn.Close(transport.Stalled) })
	defer stop()
	return s, s.join(channel)
}

// dial makes a socket that takes little, else it takes longer to be full.
func (s *stalledClient) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if tcp, ok := c.(*net.TCPConn); ok {
		err = tcp.SetReadBuffer(256 << 10) // with much less, TCP takes seconds to wake up again
	}
	return c, err
}

func (s *stalledClient) join(channel string) error {
	reply, err := s.ask(&bayeux.Message{Channel: bayeux.MetaHandshake, Version: "1.0", SupportedConnectionTypes: []string{bayeux.WebSocket}})
	if err != nil {
		return err
	}
	s.id = reply.ClientID
	if _, err := s.ask(&bayeux.Message{Channel: bayeux.MetaSubscribe, ClientID: s.id, Subscription: bayeux.Subscription{Channels: []string{channel}}}); err != nil {
		return err
	}
	return s.send(&bayeux.Message{Channel: bayeux.MetaConnect, ClientID: s.id, ConnectionType: bayeux.WebSocket})
}

func (s *stalledClient) ask(m *bayeux.Message) (*bayeux.Message, error) {
	if err := s.send(m); err != nil {
		return nil, err
	}
	r, err := s.conn.Receive()
	if err != nil {
		return nil, err
	}
	var replies []*bayeux.Message
	if err := json.NewDecoder(r).Decode(&replies); err != nil {
		return nil, err
	}
	if len(replies) == 0 {
		return nil, fmt.Errorf("no reply on %s", m.Channel)
	}
	return replies[0], replies[0].Err()
}

func (s *stalledClient) send(m *bayeux.Message) error {
	s.number++
	m.ID = fmt.Sprint(s.number)
	text, err := codec.AppendMessage(nil, m)
	if err != nil {
		return err
	}
	return s.conn.Send(&transport.Payload{Messages: [][]byte{text}})
}

// fate reads at last, and says how the connection ended: by the server, with its
// reason, or not at all.
func (s *stalledClient) fate() string {
	const patience = 5 * time.Second
	tired := time.AfterFunc(patience, func() { s.conn.Close(transport.Normal) })
	for {
		if _, err := s.conn.Receive(); err != nil {
			if !tired.Stop() {
				return "open"
			}
			return transport.ReasonOf(err).String()
		}
	}
}

func (s *stalledClient) close() error {
	err := s.conn.Close(transport.Normal)
	s.web.CloseIdleConnections()
	return err
}
