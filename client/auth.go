package client

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/gocometd/cometd/bayeux"
)

// An AccessToken says the value of the Authorization header. It is asked for
// each request, so a type of your own may change its mind; it must be safe for
// concurrent use. Give it String, GoString and LogValue methods that hide the
// secret, as [Token] has.
type AccessToken interface{ Authorization() string }

// A Token is an AccessToken that never shows its secret: not with any verb of
// fmt, not in JSON, not in logs.
type Token struct {
	v *string // not the string: fmt would print that of a Token in an unexported field
}

// Bearer is the header "Bearer token".
func Bearer(token string) Token { return Authorization("Bearer " + token) }

// Basic is the header of user and password, which may be empty (RFC 7617).
func Basic(user, password string) Token {
	return Authorization("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

// Authorization is a header value taken as it is, such as "OAuth 00D…".
func Authorization(value string) Token { return Token{&value} }

// Authorization returns the header's value, the secret.
func (t Token) Authorization() string {
	if t.v == nil {
		return ""
	}
	return *t.v
}

// String returns "***".
func (t Token) String() string { return "***" }

// GoString returns "***".
func (t Token) GoString() string { return "***" }

// Format writes *** for every verb and flag.
func (t Token) Format(f fmt.State, _ rune) { io.WriteString(f, "***") }

// LogValue returns "***".
func (t Token) LogValue() slog.Value { return slog.StringValue("***") }

// MarshalText returns "***".
func (t Token) MarshalText() ([]byte, error) { return []byte("***"), nil }

// authorize asks the token source, if there is one, on the caller's goroutine, as a
// Manual does. Client.authorize has one of its own.
func (e *endpoint) authorize(ctx context.Context) error {
	if e.cfg.tokenSource == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.timeouts.Open)
	defer cancel()
	t, err := e.cfg.tokenSource(ctx)
	return e.authorized(t, err)
}

// authorized takes a token over.
func (e *endpoint) authorized(t AccessToken, err error) error {
	if err != nil {
		return fmt.Errorf("client: token source: %w", err)
	}
	e.mu.Lock()
	e.token = t
	e.mu.Unlock()
	return nil
}

// authorize asks the token source, if there is one: before each handshake and
// after a 401.
func (c *Client) authorize() error {
	if c.cfg.tokenSource == nil {
		return nil
	}
	return c.end.authorized(askUser(c, &c.tokens, c.cfg.tokenSource))
}

// authorization is the current header value, "" without credentials.
func (e *endpoint) authorization() string {
	e.mu.Lock()
	t := e.token
	e.mu.Unlock()
	if t == nil {
		return ""
	}
	return t.Authorization()
}

// bare is the credential without its scheme, as ext fields want it.
func bare(authorization string) string {
	if _, credential, ok := strings.Cut(authorization, " "); ok {
		return credential
	}
	return authorization
}

// handshakeExt adds the user's ext fields and the credential, on the caller's
// goroutine.
func (e *endpoint) handshakeExt(ctx context.Context, m *bayeux.Message) error {
	var ext bayeux.Ext
	if f := e.cfg.handshakeExt; f != nil {
		ctx, cancel := context.WithTimeout(ctx, e.cfg.timeouts.Open)
		defer cancel()
		var err error
		if ext, err = f(ctx); err != nil {
			return fmt.Errorf("client: handshake ext: %w", err)
		}
	}
	return e.addExt(m, ext)
}

// addExt adds ext fields and the credential to a handshake.
func (e *endpoint) addExt(m *bayeux.Message, ext bayeux.Ext) error {
	for k, v := range ext {
		if err := m.Ext.Set(k, v); err != nil {
			return err
		}
	}
	if v := e.authorization(); v != "" && e.cfg.tokenExt != "" {
		return m.Ext.Set(e.cfg.tokenExt, bare(v))
	}
	return nil
}

// handshakeExt asks the user for ext fields.
func (c *Client) handshakeExt() (bayeux.Ext, error) {
	if c.cfg.handshakeExt == nil {
		return nil, nil
	}
	ext, err := askUser(c, &c.exts, c.cfg.handshakeExt)
	if err != nil {
		return nil, fmt.Errorf("client: handshake ext: %w", err)
	}
	return ext, nil
}
