package wire

import "strings"

// IsToken reports whether s is a token (RFC 9110 §5.6.2), as the name of a
// subprotocol is one.
func IsToken(s string) bool {
	return s != "" && strings.Trim(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
