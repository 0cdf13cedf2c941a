// Package keypair is a TLS certificate whose files may be replaced while a
// server runs, as ACME clients do:
//
//	pair, err := keypair.Open("fullchain.pem", "privkey.pem", logger)
//	web := &http.Server{TLSConfig: &tls.Config{GetCertificate: pair.GetCertificate}}
//	err = web.ServeTLS(ln, "", "")
package keypair

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/gocometd/cometd/internal/lock"
)

// recheck is how often the files are looked at, at most.
const recheck = time.Second

// A KeyPair is a certificate and its key, as their files have them now.
type KeyPair struct {
	cert, key string
	log       *slog.Logger

	mu      lock.Turn[lock.Renewing]
	pair    *tls.Certificate
	version string // of the files
	looked  time.Time
}

// Open reads two PEM files: the certificate, with the chain behind it, and its
// key. It fails if they are no pair. The log is told of each replacement, and
// of one that is not good; nil is slog.Default.
func Open(cert, key string, log *slog.Logger) (*KeyPair, error) {
	if log == nil {
		log = slog.Default()
	}
	k := &KeyPair{cert: cert, key: key, log: log}
	if err := k.load(k.stamp()); err != nil {
		return nil, err
	}
	return k, nil
}

// GetCertificate is for the field of this name in a tls.Config. It looks at the
// files at most once a second, for a connection that begins: those that are
// open stay as they are. While the files are no pair, such as in the middle of
// a replacement, the old one stays. It never fails.
func (k *KeyPair) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.looked) < recheck {
		return k.pair, nil
	}
	k.looked = time.Now()
	if stamp := k.stamp(); stamp != k.version {
		if err := k.load(stamp); err != nil {
			k.log.Warn("the new certificate is not good, the old one stays", slog.Any("err", err))
		} else {
			k.log.Info("certificate replaced", slog.Time("until", k.pair.Leaf.NotAfter))
		}
	}
	return k.pair, nil
}

// load reads both files. Half a replacement is no pair: a later connection
// looks again.
func (k *KeyPair) load(stamp string) error {
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		return fmt.Errorf("keypair: %s and %s: %w", k.cert, k.key, err)
	}
	k.pair, k.version = &pair, stamp
	return nil
}

// stamp changes when one of the files does.
func (k *KeyPair) stamp() string {
	var stamp string
	for _, name := range []string{k.cert, k.key} {
		if info, err := os.Stat(name); err == nil {
			stamp += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), " ")
		}
	}
	return stamp
}
