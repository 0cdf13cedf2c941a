// Command notifications sends each user their own notifications, over sessions
// that prove who they are with a JSON Web Token: in the Authorization header,
// or, for browsers, which cannot set one on a WebSocket, in ext.token of the
// handshake.
//
//	go run ./examples/notifications
//
// It prints its URL, a token for the user "ada", and what to type to read
// her notifications.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

// channel is where every user gets what is theirs: it is the server that
// chooses the session, so no subscription is needed, only a listener.
const channel = "/service/notifications"

func main() {
	listen := flag.String("listen", "127.0.0.1:8082", "`address` to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *listen, time.Second, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, listen string, every time.Duration, out io.Writer) error {
	key := []byte(os.Getenv("NOTIFICATIONS_KEY"))
	if len(key) == 0 {
		key = []byte("a key for trying this out, thirty-two bytes or more")
	}
	srv, err := cometd.NewServer(server.WithPolicy(policy(key)))
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	srv.Mount(mux, "/cometd")
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(ln) }()

	token, err := issue(key, "ada", time.Now().Add(time.Hour))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "notifications at http://%s/cometd\n", ln.Addr())
	fmt.Fprintf(out, "go run ./cmd/cometd sub --bearer %s http://%s/cometd %s\n", token, ln.Addr(), channel)

	err = notify(ctx, srv, every)
	closing, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = errors.Join(err, srv.Shutdown(closing), web.Shutdown(closing))
	if serving := <-ended; !errors.Is(serving, http.ErrServerClosed) {
		err = errors.Join(err, serving)
	}
	return err
}

// notify tells ada the time, on all her sessions.
func notify(ctx context.Context, srv *server.Server, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if err := srv.SendUser("ada", channel, map[string]string{"text": "It is " + now.Format(time.TimeOnly)}); err != nil {
				return err
			}
		}
	}
}

// policy lets nobody in without a valid token, and nobody publish or subscribe.
func policy(key []byte) server.Policy {
	return server.Policy{
		Handshake: func(ctx context.Context, s *server.Session, m *bayeux.Message) error {
			token, err := tokenOf(ctx, m)
			if err != nil {
				return err
			}
			user, expires, err := verify(key, token)
			if err != nil {
				return server.Deny("token_invalid")
			}
			s.SetUser(user)
			s.Expire(expires, time.Minute) // with the token; the client is warned a minute before
			return nil
		},
		Subscribe: func(context.Context, *server.Session, string, *bayeux.Message) error {
			return server.Deny("notifications_only")
		},
		Publish: func(context.Context, *server.Session, *server.Publication) error {
			return server.Deny("notifications_only")
		},
	}
}

// tokenOf takes the token from the header or from ext.token.
func tokenOf(ctx context.Context, m *bayeux.Message) (string, error) {
	if t, ok := strings.CutPrefix(server.PeerOf(ctx).Header.Get("Authorization"), "Bearer "); ok {
		return t, nil
	}
	var t string
	if found, err := m.Ext.Decode("token", &t); !found || err != nil {
		return "", bayeux.Errorf(401, "token_missing")
	}
	return strings.TrimPrefix(t, "Bearer "), nil
}

func issue(key []byte, user string, expires time.Time) (string, error) {
	claims := jwt.RegisteredClaims{Subject: user, ExpiresAt: jwt.NewNumericDate(expires)}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(key)
}

func verify(key []byte, token string) (user string, expires time.Time, err error) {
	var claims jwt.RegisteredClaims
	keyOf := func(*jwt.Token) (any, error) { return key, nil }
	if _, err := jwt.ParseWithClaims(token, &claims, keyOf, jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired()); err != nil {
		return "", time.Time{}, err
	}
	if claims.Subject == "" {
		return "", time.Time{}, errors.New("token without a subject")
	}
	return claims.Subject, claims.ExpiresAt.Time, nil
}
