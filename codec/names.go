package codec

import (
	"encoding/binary"
	"math/bits"
)

// names keeps the strings that come again and again: channels and connection
// types. A place is overwritten by the next name that falls on it, so it is
// bounded whatever a peer sends.
type names [64]string

// intern returns name as a string that shares no memory with it. No names at
// all will do.
func (t *names) intern(name []byte) string {
	if len(name) == 0 {
		return ""
	}
	if t == nil || len(name) > 256 {
		return string(name)
	}
	p := &t[place(name)]
	if *p != string(name) {
		*p = string(name)
	}
	return *p
}

func place(name []byte) int {
	var h uint64
	if n := len(name); n >= 8 {
		h = load(name, 0) ^ bits.RotateLeft64(load(name, n-8), 23)
	} else {
		var word [8]byte
		copy(word[:], name)
		h = binary.LittleEndian.Uint64(word[:])
	}
	return int((h + uint64(len(name))) * 0x9E3779B97F4A7C15 >> 58)
}
