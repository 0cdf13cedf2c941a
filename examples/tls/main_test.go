package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// issue writes a new pair of files and returns the pool that trusts it.
func issue(t *testing.T, dir, name string) *x509.CertPool {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for file, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret}} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600))
	}
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return pool
}

// dial connects over TLS that trusts pool only.
func dial(t *testing.T, addr string, pool *x509.CertPool, d transport.Dialer) (*client.Client, error) {
	web := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return cometd.Dial(ctx, "https://"+addr+"/cometd", client.WithHTTPClient(&http.Client{Transport: web}), client.WithTransports(d))
}

func TestCertificatesAreReplacedWhileClientsStayConnected(t *testing.T) {
	dir := t.TempDir()
	first := issue(t, dir, "first")
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, ln, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), "https://www.example.com", slog.New(slog.DiscardHandler))
	}()
	stays, err := dial(t, addr, first, wsclient.NewDialer())
	require.NoError(t, err)

	second := issue(t, dir, "second")
	for _, d := range []transport.Dialer{wsclient.NewDialer(), longpoll.NewDialer()} {
		require.Eventually(t, func() bool {
			c, err := dial(t, addr, second, d)
			if err != nil {
				return false
			}
			assert.NoError(t, c.Publish(t.Context(), "/a", 1))
			c.Close()
			<-c.Done()
			return true
		}, 10*time.Second, 50*time.Millisecond, d.Type())
	}
	assert.Equal(t, bayeux.Connected, stays.State())
	assert.NoError(t, stays.Publish(t.Context(), "/a", 2))
	assert.Zero(t, stays.Stats().Reconnects)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.pem"), []byte("broken"), 0o600))
	c, err := dial(t, addr, second, wsclient.NewDialer())
	require.NoError(t, err, "the old pair stays until there is a good one")
	c.Close()
	<-c.Done()
	stays.Close()
	<-stays.Done()
	stop()
	require.NoError(t, <-ended)
}
