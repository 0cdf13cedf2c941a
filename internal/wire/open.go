//go:build !js

package wire

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// NewKey makes the Sec-WebSocket-Key of an upgrade.
func NewKey() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return base64.StdEncoding.EncodeToString(b[:])
}

// GoodKey reports whether key may be a Sec-WebSocket-Key.
func GoodKey(key string) bool {
	b, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(b) == 16
}

// AcceptOf is the Sec-WebSocket-Accept that answers a key (RFC 6455 §4.2.2).
func AcceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// HasToken reports whether one of a header's values lists a word.
func HasToken(values []string, want string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), want) {
				return true
			}
		}
	}
	return false
}

// Deflate is what a client offers and a server answers: every message is
// compressed on its own (RFC 7692 §7.1.1).
const Deflate = deflate + "; client_no_context_takeover; server_no_context_takeover"

const deflate = "permessage-deflate"

// AnswerDeflate is the server's answer to the first offer in a client's
// Sec-WebSocket-Extensions that it can agree to: any but one that asks for a
// smaller window than flate uses. Without one it is empty.
func AnswerDeflate(offers []string) string {
	for _, o := range extensions(offers) {
		answer := Deflate
		if o.name == deflate && o.onlyHas(func(key, value string) bool {
			switch key {
			case "client_no_context_takeover", "server_no_context_takeover":
				return value == ""
			case "client_max_window_bits":
				return value == "" || windowBits(value)
			case "server_max_window_bits":
				answer += "; server_max_window_bits=15" // who asks must hear (§7.1.2.1)
				return value == "15"
			}
			return false
		}) {
			return answer
		}
	}
	return ""
}

// DeflateTaken reads a server's Sec-WebSocket-Extensions, which answer an offer
// of Deflate, or of nothing. takeover says that what the server sends may refer
// to its messages before.
func DeflateTaken(offered bool, answer []string) (taken, takeover bool, err error) {
	takeover = true
	for _, a := range extensions(answer) {
		good := offered && !taken && a.name == deflate && a.onlyHas(func(key, value string) bool {
			switch key {
			case "server_no_context_takeover":
				takeover = false
				return value == ""
			case "client_no_context_takeover":
				return value == ""
			case "server_max_window_bits":
				return windowBits(value)
			}
			return false
		})
		if !good {
			return false, false, fmt.Errorf("the extension %q was not offered so", answer)
		}
		taken = true
	}
	return taken, takeover && taken, nil
}

// windowBits is a number from 8 to 15 without a sign or a leading zero (RFC 7692
// §7.1.2).
func windowBits(value string) bool {
	n, err := strconv.Atoi(value)
	return err == nil && n >= 8 && n <= 15 && value == strconv.Itoa(n)
}

// An extension is one element of a Sec-WebSocket-Extensions header.
type extension struct {
	name   string
	params []string
}

func extensions(values []string) (all []extension) {
	for _, v := range values {
		for element := range strings.SplitSeq(v, ",") {
			words := strings.Split(element, ";")
			for i := range words {
				words[i] = strings.ToLower(strings.TrimSpace(words[i]))
			}
			if words[0] != "" {
				all = append(all, extension{words[0], words[1:]})
			}
		}
	}
	return all
}

// unquoted takes a pair of quotes off.
func unquoted(value string) string {
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		return value[1 : n-1]
	}
	return value
}

// onlyHas reports whether all parameters are good, and none is there twice.
func (x extension) onlyHas(good func(key, value string) bool) bool {
	met := map[string]bool{}
	for _, p := range x.params {
		key, value, valued := strings.Cut(p, "=")
		key, value = strings.TrimSpace(key), unquoted(strings.TrimSpace(value))
		if met[key] || valued && value == "" || !good(key, value) {
			return false
		}
		met[key] = true
	}
	return true
}
