package keypair_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/keypair"
)

func TestABrokenPairDoesNotStart(t *testing.T) {
	_, err := keypair.Open("nowhere.pem", "nowhere.pem", slog.New(slog.DiscardHandler))
	assert.Error(t, err)
}

// The files are looked at once a second; until both are there again, and are a
// pair, the old one stays.
func TestTheFilesAreReplacedWhileTheyAreInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		first, second, third := made(t, 1), made(t, 2), made(t, 3)
		write := func(path string, text []byte, at time.Time) {
			require.NoError(t, os.WriteFile(path, text, 0o600))
			require.NoError(t, os.Chtimes(path, at, at))
		}
		write(cert, first.cert, time.Unix(1000, 0))
		write(key, first.key, time.Unix(1000, 0))
		pair, err := keypair.Open(cert, key, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		serial := func() int64 {
			c, err := pair.GetCertificate(nil)
			require.NoError(t, err)
			return c.Leaf.SerialNumber.Int64()
		}
		assert.EqualValues(t, 1, serial())

		write(cert, second.cert, time.Unix(2000, 0))
		write(key, second.key, time.Unix(2000, 0))
		time.Sleep(time.Second - 1)
		assert.EqualValues(t, 1, serial(), "looked at a moment ago")
		time.Sleep(time.Nanosecond)
		assert.EqualValues(t, 2, serial())

		write(cert, third.cert, time.Unix(3000, 0))
		time.Sleep(time.Second)
		assert.EqualValues(t, 2, serial(), "half a replacement is no pair")
		write(key, third.key, time.Unix(3000, 0))
		time.Sleep(time.Second)
		assert.EqualValues(t, 3, serial())
		require.NoError(t, os.Remove(key))
		time.Sleep(time.Second)
		assert.EqualValues(t, 3, serial())
	})
}

type pemPair struct{ cert, key []byte }

func made(t *testing.T, serial int64) pemPair {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(serial)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pemPair{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}
}
