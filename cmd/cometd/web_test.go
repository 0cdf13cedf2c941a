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
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/internal/webtest"
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

// unreading makes a peer over HTTP/2 that reads nothing.
func unreading(t *testing.T, address string) *webtest.HTTP2 {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.(*net.TCPConn).SetReadBuffer(4<<10))
	secure := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	require.NoError(t, secure.SetDeadline(time.Now().Add(2*patience)))
	peer, err := webtest.NewHTTP2(secure, 1<<30)
	require.NoError(t, err)
	return peer
}

// asks asks for a page so often, and reports whether the connection still is.
func asks(peer *webtest.HTTP2, times int) bool {
	for range times {
		if peer.Ask("GET", "/bayeux.js", "") != nil {
			return false
		}
	}
	return true
}

// Over HTTP/2 a peer that takes nothing is cut off, and what it has asked for
// given up.
func TestServeGivesUpWhoTakesNothingOverHTTP2(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, writeCertificate(cert, key, 1))
	address, _ := serving(t, "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--write-timeout", "500ms")
	peer := unreading(t, address)
	require.Eventually(t, func() bool { return !asks(peer, 10) }, patience, 50*time.Millisecond, "its connection ends")
}

// Nor does such a peer hold up the end, whatever time it would have had: its poll
// is about to be answered.
func TestServeEndsInItsGraceWhoeverTakesNothing(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, writeCertificate(cert, key, 1))
	address, stop := serving(t, "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--write-timeout", "1h", "--timeout", "1h", "--grace", "2s")
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer web.CloseIdleConnections()
	ask := func(cookie, text string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+address+"/cometd", strings.NewReader(text))
		require.NoError(t, err)
		req.Header.Set("Cookie", cookie)
		resp, err := web.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp, string(b)
	}
	resp, text := ask("", `[{"id":"1","channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]`)
	cookie, id := strings.Split(resp.Header.Get("Set-Cookie"), ";")[0], regexp.MustCompile(`"clientId":"(\w+)"`).FindStringSubmatch(text)[1]
	connect := `[{"id":"2","channel":"/meta/connect","connectionType":"long-polling","clientId":"` + id + `"}]`
	_, text = ask(cookie, connect)
	require.Contains(t, text, `"successful":true`)
	peer := unreading(t, address)
	require.NoError(t, peer.Ask("POST", "/cometd", connect, "cookie", cookie))
	for range 50 { // some megabytes, more than the kernel holds
		require.True(t, asks(peer, 50))
		ask("", `[]`) // the server has its time to answer
	}
	_, text = ask(cookie, `[{"id":"3","channel":"/meta/disconnect","clientId":"`+id+`"}]`) // answers the connect, too
	require.Contains(t, text, `"successful":true`)
	begin := time.Now()
	stop()
	assert.Less(t, time.Since(begin), patience)
}

// A page of a name that leads to the loopback is not the server's own, unless it
// is allowed; who is no page may call it as it likes, such as a proxy.
func TestServeOnTheLoopbackKnowsItsOwnNames(t *testing.T) {
	address, _ := serving(t, "127.0.0.1:0", "--allow-origin", "https://allowed.test")
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	for _, c := range []struct {
		host, origin string
		status       string
	}{
		{address, "http://" + address, "200"},
		{"localhost:" + port, "http://localhost:" + port, "200"},
		{"LocalHost.:" + port, "http://localhost.:" + port, "200"},
		{"app.localhost:" + port, "http://app.localhost:" + port, "200"},
		{"[::1]:" + port, "http://[::1]:" + port, "200"},
		{"127.9.9.9", "http://127.9.9.9", "200"},
		{"rebound.test:" + port, "http://rebound.test:" + port, "403"},
		{"localhost.test", "http://localhost.test", "403"},
		{"10.0.0.1", "http://10.0.0.1", "403"},
		{"allowed.test", "https://allowed.test", "200"},
		{"rebound.test", "", "200"},
	} {
		origin := ""
		if c.origin != "" {
			origin = "Origin: " + c.origin + "\r\n"
		}
		_, in := saying(t, address, "OPTIONS /cometd HTTP/1.1\r\nHost: "+c.host+"\r\n"+origin+"\r\n")
		line, err := in.ReadString('\n')
		require.NoError(t, err)
		assert.Contains(t, line, c.status, "%+v", c)
	}
	address, _ = serving(t, "0.0.0.0:0")
	_, in := saying(t, address, "OPTIONS /cometd HTTP/1.1\r\nHost: host.test\r\nOrigin: http://host.test\r\n\r\n")
	line, err := in.ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, line, "200", "it has names that it does not know")
}

// A path that a mux would redirect is not found: its redirection is HTML, with
// the path in it.
func TestServeSendsNothingBackAsHTML(t *testing.T) {
	address, _ := serving(t, "127.0.0.1:0")
	for _, target := range []string{"//cometd/x?%22%3E%3Cb%3Ey", `//cometd/x?"><b>y`, "/cometd/../cometd", "/./cometd", "//", "/cometd//"} {
		_, in := saying(t, address, "GET "+target+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		answer, err := http.ReadResponse(in, nil)
		require.NoError(t, err, target)
		assert.Equal(t, http.StatusNotFound, answer.StatusCode, target)
		assert.Equal(t, "text/plain; charset=utf-8", answer.Header.Get("Content-Type"), target)
		assert.Equal(t, "nosniff", answer.Header.Get("X-Content-Type-Options"), target)
	}
}

// Profiles are for programs of this machine, and not for pages whose names lead to
// it.
func TestServeHasProfilesWhereItIsTold(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := ln.Addr().String()
	ln.Close()
	serving(t, "127.0.0.1:0", "--pprof", address)
	for host, want := range map[string]int{address: http.StatusOK, "localhost": http.StatusOK, "rebound.test": http.StatusForbidden} {
		_, in := saying(t, address, "GET /debug/pprof/heap HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		answer, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		assert.Equal(t, want, answer.StatusCode, host)
	}
	plain, _ := serving(t, "127.0.0.1:0")
	_, in := saying(t, plain, "GET /debug/pprof/heap HTTP/1.1\r\nHost: localhost\r\n\r\n")
	answer, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusNotFound, answer.StatusCode)
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
