package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/internal/wire"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

// A stalledClient subscribes over WebSocket and reads nothing after that. Its
// socket takes little by itself, so that a server feels it soon.
type stalledClient struct {
	conn   transport.Conn
	target *transport.Target
	web    *http.Transport
	wait   time.Duration
	id     string
	number int
}

func (r *benchRun) stall(ctx context.Context, channel string) (*stalledClient, error) {
	target, err := r.target()
	if err != nil {
		return nil, err
	}
	s := &stalledClient{web: r.web.Transport.(*http.Transport).Clone(), target: target, wait: r.Wait}
	s.web.DialContext = (&net.Dialer{Control: narrow}).DialContext
	target.HTTP.Transport = s.web
	stop, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	if err := s.join(channel); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// target has what a Client would send with every request.
func (c *connection) target() (*transport.Target, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	header, err := c.header()
	if err != nil {
		return nil, err
	}
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	if value := token.Authorization(); value != "" {
		header.Set("Authorization", value)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	cookies, err := c.cookies()
	jar.SetCookies(u, cookies)
	return &transport.Target{URL: u, Header: header, HTTP: &http.Client{Jar: jar}}, err
}

// dial opens a connection. Until stop it ends when the patience does.
func (s *stalledClient) dial(ctx context.Context) (stop func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	conn, err := wsclient.NewDialer(wsclient.WithPing(0, 0)).Dial(ctx, s.target)
	if err != nil {
		cancel()
		return nil, err
	}
	s.conn = conn
	kept := context.AfterFunc(ctx, func() { conn.Close(transport.Stalled) })
	return func() { kept(); cancel() }, nil
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
	return s.send(s.connect())
}

func (s *stalledClient) connect() *bayeux.Message {
	return &bayeux.Message{Channel: bayeux.MetaConnect, ClientID: s.id, ConnectionType: bayeux.WebSocket}
}

// ask returns the reply to m. It is nil if none came.
func (s *stalledClient) ask(m *bayeux.Message) (*bayeux.Message, error) {
	if err := s.send(m); err != nil {
		return nil, err
	}
	for {
		r, err := s.conn.Receive()
		if err != nil {
			return nil, err
		}
		var came []*bayeux.Message
		if err := json.NewDecoder(r).Decode(&came); err != nil {
			return nil, err
		}
		for _, reply := range came {
			if reply.Channel == m.Channel && reply.ID == m.ID {
				return reply, reply.Err()
			}
		}
	}
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

// A stalledFate is what has become of a stalled subscriber.
type stalledFate struct {
	Socket  string `json:"socket"`            // open; closed, for a reason; cut, without one, as where nothing more went in
	Reason  string `json:"reason,omitempty"`  // of its close frame: code and text
	Session string `json:"session,omitempty"` // alive or ended, as the server says when it is asked, which it is not if it has said the reason
	Refusal string `json:"refusal,omitempty"` // its words then
}

// fate reads at last, and says how the connection has ended. Where no reason
// came it asks on a new one: a server may remember for a while why the session
// is no more.
func (s *stalledClient) fate(ctx context.Context) (f stalledFate) {
	f.Socket, f.Reason = s.drain()
	if f.Socket == "closed" {
		return f
	}
	s.conn.Close(transport.Normal)
	stop, err := s.dial(ctx)
	if err != nil {
		return f
	}
	defer stop()
	again := s.connect()
	again.Advice = &bayeux.Advice{Timeout: bayeux.SpanOf(0)}
	switch reply, err := s.ask(again); {
	case reply == nil:
	case err == nil:
		f.Session = "alive"
	default:
		f.Refusal = reply.Error
		if errors.Is(err, bayeux.ErrUnknownSession) {
			f.Session = "ended"
		}
	}
	return f
}

// quiet is how long nothing comes on a connection that is taken for open.
const quiet = 3 * time.Second

// drain reads what the socket has, and says what stands behind it.
func (s *stalledClient) drain() (socket, reason string) {
	tired := time.AfterFunc(quiet, func() { s.conn.Close(transport.Normal) })
	for {
		_, err := s.conn.Receive()
		end, told := errors.AsType[*wire.CloseError](err)
		switch {
		case !tired.Stop(): // it was this side that ended it
			return "open", ""
		case err == nil:
			tired.Reset(quiet)
			continue
		case told && !end.Local:
			return "closed", fmt.Sprintf("%d %s", end.Code, end.Text)
		case err == io.EOF:
			return "closed", "1000"
		}
		return "cut", ""
	}
}

func (f stalledFate) String() string {
	text := map[string]string{"open": "still open", "closed": "closed: ", "cut": "cut off"}[f.Socket] + f.Reason
	switch {
	case f.Socket == "open" && f.Session == "alive":
		text += ", for buffers and queues had room for all that it did not read"
	case f.Session != "":
		text += ", its session " + f.Session
	}
	if f.Refusal != "" {
		text += ": " + f.Refusal
	}
	return plain(text)
}

func (s *stalledClient) close() error {
	err := s.conn.Close(transport.Normal)
	s.web.CloseIdleConnections()
	return err
}

// told lists fates, equal ones once, with how many there are.
func told(fates []stalledFate) string {
	times := map[stalledFate]int{}
	for _, f := range fates {
		times[f]++
	}
	var list []string
	for _, f := range fates {
		if n := times[f]; n > 0 {
			list = append(list, fmt.Sprintf("%d %v", n, f))
			delete(times, f)
		}
	}
	return strings.Join(list, "; ")
}
