package server

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"time"
)

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// newSessionID returns 160 random bits as 32 letters and digits.
func newSessionID() string {
	var b [20]byte
	rand.Read(b[:])
	return idEncoding.EncodeToString(b[:])
}

// TimeID returns an id as axum-cometd makes them, for [WithSessionIDs]: 40
// lower-case hex digits, of which the first 16 are the Unix time in seconds
// and the rest is random. With 96 random bits it is the one exception to the
// rule that ids here carry at least 128; guessing one still takes 2^95 tries
// for a session whose second of birth is known.
func TimeID() string {
	var b [20]byte
	binary.BigEndian.PutUint64(b[:8], uint64(time.Now().Unix()))
	rand.Read(b[8:])
	return hex.EncodeToString(b[:])
}

func alphanumeric(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return s != ""
}
