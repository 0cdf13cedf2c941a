package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func saying(t *testing.T, address, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(c, text)
	require.NoError(t, err)
	return c, bufio.NewReader(c)
}

// Peers that ask nothing, half a question, or do not read are no reason for
// serve to end late or badly.
func TestServeEndsSoonWhoeverIsThere(t *testing.T) {
	address, stop := serving(t, "127.0.0.1:0", "--body-timeout", "1m", "--header-timeout", "1m")
	for _, text := range []string{
		"", "POST /cometd HTTP/1.1\r\nX: ",
		"POST /cometd HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n[",
		"POST /cometd HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.test\r\nContent-Length: 1000\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		saying(t, address, text)
	}
	begin := time.Now()
	stop()
	assert.Less(t, time.Since(begin), 5*time.Second, "as idle connections would have had it")
}

// Nothing that comes without its body holds a connection for long, wherever it
// goes, nor does a connection that asks nothing.
func TestServeBoundsEveryConnectionInTime(t *testing.T) {
	address, _ := serving(t, "127.0.0.1:0", "--body-timeout", "200ms", "--header-timeout", "200ms", "--idle-timeout", "200ms", "--no-chat", "--transports", "websocket,long-polling,callback-polling")
	chat, _ := serving(t, "127.0.0.1:0", "--body-timeout", "200ms", "--header-timeout", "200ms", "--idle-timeout", "200ms")
	for _, address := range []string{address, chat} {
		for _, head := range []string{"", "POST /", "GET /", "OPTIONS /", "POST /cometd", "GET /cometd", "PUT /cometd", "OPTIONS /cometd", "GET /cometd?jsonp=a&message=1", "DELETE /nowhere"} {
			for _, rest := range []string{"Content-Length: 1000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n", ""} {
				text := ""
				if head != "" {
					text = head + " HTTP/1.1\r\nHost: x\r\n" + rest
				}
				_, in := saying(t, address, text)
				_, err := io.Copy(io.Discard, in)
				assert.NoError(t, err, "%s %s: it is closed", head, rest)
			}
		}
	}
}

// --max-connections holds for connections that ask nothing.
func TestServeCountsIdleConnections(t *testing.T) {
	address, _ := serving(t, "127.0.0.1:0", "--max-connections", "4")
	var all []net.Conn
	for range 100 {
		c, _ := saying(t, address, "")
		all = append(all, c)
	}
	for _, c := range all[4+8:] {
		_, err := c.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.EOF)
	}
}

// The certificate is read again when its files change.
func TestServeReplacesItsCertificate(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, writeCertificate(cert, key, 1))
	address, _ := serving(t, "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	serial := func() int64 {
		c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		require.NoError(t, err)
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	assert.EqualValues(t, 1, serial())
	require.NoError(t, os.Remove(cert))
	assert.EqualValues(t, 1, serial(), "the old one stays until there is a new one")
	require.NoError(t, writeCertificate(cert, key, 2))
	require.Eventually(t, func() bool { return serial() == 2 }, patience, 50*time.Millisecond)
}

// A client that asks for acknowledgement gets it.
func TestServeAcknowledges(t *testing.T) {
	address, _ := serving(t, "127.0.0.1:0")
	handshake := `[{"id":"1","channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"],"ext":{"ack":true}}]`
	resp, err := http.Post("http://"+address+"/cometd", "application/json", strings.NewReader(handshake))
	require.NoError(t, err)
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Contains(t, string(b), `"ext":{"ack":true}`)
}

// A client that can compress is answered so.
func TestServeCompressesWhenAsked(t *testing.T) {
	for flag, want := range map[string]bool{"--compress=1KiB": true, "--compress=0": false} {
		address, _ := serving(t, "127.0.0.1:0", flag)
		_, in := saying(t, address, fmt.Sprintf("GET /cometd HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", address))
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		assert.Equal(t, 101, resp.StatusCode)
		assert.Equal(t, want, strings.Contains(resp.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate"), flag)
	}
}
