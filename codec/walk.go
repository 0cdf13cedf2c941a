package codec

import (
	"iter"
	"math"
)

// fields yields the names, as they stand between their quotes, and the values
// of an object that was scanned before.
func fields(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		var s skipper
		i := skipSpace(object, 1)
		for object[i] == '"' {
			end, _ := scanString(object, i+1)
			name := object[i+1 : end]
			i = colon(object, end+1)
			end = s.skip(object, i, math.MaxInt)
			if !yield(name, object[i:end]) {
				return
			}
			if i = skipSpace(object, end); object[i] == '}' {
				return
			}
			i = skipSpace(object, i+1)
		}
	}
}

// elements yields the elements of an array that was scanned before.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var s skipper
		i := skipSpace(array, 1)
		for array[i] != ']' {
			end := s.skip(array, i, math.MaxInt)
			if !yield(array[i:end]) {
				return
			}
			if i = skipSpace(array, end); array[i] == ']' {
				return
			}
			i = skipSpace(array, i+1)
		}
	}
}
