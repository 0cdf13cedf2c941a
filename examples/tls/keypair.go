package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// recheck is how often the files are looked at, at most.
const recheck = time.Second

// A keyPair is a certificate whose files may be replaced.
type keyPair struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	version string // of the files
	looked  time.Time
}

// newKeyPair fails if there is no good pair to begin with.
func newKeyPair(cert, key string, logger *slog.Logger) (*keyPair, error) {
	k := &keyPair{cert: cert, key: key, log: logger}
	if err := k.load(k.stamp()); err != nil {
		return nil, err
	}
	return k, nil
}

// certificate is for tls.Config.GetCertificate.
func (k *keyPair) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.looked) < recheck {
		return k.pair, nil
	}
	k.looked = time.Now()
	if stamp := k.stamp(); stamp != k.version {
		if err := k.load(stamp); err != nil {
			k.log.Warn("the new certificate is not good, the old one stays", "err", err)
		} else {
			k.log.Info("certificate replaced", "until", k.pair.Leaf.NotAfter)
		}
	}
	return k.pair, nil
}

// load reads both files. Half a replacement is no pair: the next connection
// looks again.
func (k *keyPair) load(stamp string) error {
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		return err
	}
	k.pair, k.version = &pair, stamp
	return nil
}

// stamp changes when one of the files does.
func (k *keyPair) stamp() string {
	var stamp string
	for _, name := range []string{k.cert, k.key} {
		if info, err := os.Stat(name); err == nil {
			stamp += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), " ")
		}
	}
	return stamp
}
