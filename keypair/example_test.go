package keypair_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"

	"github.com/gocometd/cometd/keypair"
)

// A server whose certificate is replaced while it runs. It is started by ServeTLS
// without the names of files.
func Example() {
	dir, _ := os.MkdirTemp("", "certificate")
	defer os.RemoveAll(dir)
	cert, key := filepath.Join(dir, "fullchain.pem"), filepath.Join(dir, "privkey.pem")
	issue(cert, key)

	pair, err := keypair.Open(cert, key, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	web := &http.Server{TLSConfig: &tls.Config{GetCertificate: pair.GetCertificate}}

	now, _ := web.TLSConfig.GetCertificate(nil)
	fmt.Println("serial number", now.Leaf.SerialNumber)
	// Output:
	// serial number 1
}

// issue writes a certificate and its key.
func issue(cert, key string) {
	private, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	c := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, _ := x509.CreateCertificate(rand.Reader, c, c, &private.PublicKey, private)
	text, _ := x509.MarshalPKCS8PrivateKey(private)
	_ = os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	_ = os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}), 0o600)
}
