package codec

// A field is one bit per field of a message, and one for all unknown ones.
type field uint16

const (
	fChannel field = 1 << iota
	fID
	fClientID
	fData
	fExt
	fSuccessful
	fSubscription
	fAdvice
	fError
	fVersion
	fMinimumVersion
	fConnectionTypes
	fConnectionType
	fTimestamp

	fUnknown field = 0

	// fViewed are the fields that a View holds; all others are found again by
	// Detach.
	fViewed = fChannel | fID | fClientID | fData | fExt | fSuccessful
)

// Names of up to seven bytes, as the little-endian word they make.
const (
	wordID       = 'i' | 'd'<<8
	wordExt      = 'e' | 'x'<<8 | 't'<<16
	wordData     = 'd' | 'a'<<8 | 't'<<16 | 'a'<<24
	wordError    = 'e' | 'r'<<8 | 'r'<<16 | 'o'<<24 | 'r'<<32
	wordAdvice   = 'a' | 'd'<<8 | 'v'<<16 | 'i'<<24 | 'c'<<32 | 'e'<<40
	wordChannel  = 'c' | 'h'<<8 | 'a'<<16 | 'n'<<24 | 'n'<<32 | 'e'<<40 | 'l'<<48
	wordClientID = 'c' | 'l'<<8 | 'i'<<16 | 'e'<<24 | 'n'<<32 | 't'<<40 | 'I'<<48 | 'd'<<56
	wordVersion  = 'v' | 'e'<<8 | 'r'<<16 | 's'<<24 | 'i'<<32 | 'o'<<40 | 'n'<<48
)

// shortField finds a name by its word.
func shortField(w uint64) field {
	switch w {
	case wordChannel:
		return fChannel
	case wordID:
		return fID
	case wordData:
		return fData
	case wordExt:
		return fExt
	case wordAdvice:
		return fAdvice
	case wordError:
		return fError
	case wordVersion:
		return fVersion
	}
	return fUnknown
}

// fieldOf finds a name of any length.
func fieldOf(name []byte) field {
	switch string(name) {
	case "channel":
		return fChannel
	case "id":
		return fID
	case "clientId":
		return fClientID
	case "data":
		return fData
	case "ext":
		return fExt
	case "successful":
		return fSuccessful
	case "subscription":
		return fSubscription
	case "advice":
		return fAdvice
	case "error":
		return fError
	case "version":
		return fVersion
	case "minimumVersion":
		return fMinimumVersion
	case "supportedConnectionTypes":
		return fConnectionTypes
	case "connectionType":
		return fConnectionType
	case "timestamp":
		return fTimestamp
	}
	return fUnknown
}

func (f field) name() string {
	for _, name := range []string{
		"channel", "id", "clientId", "data", "ext", "successful", "subscription", "advice", "error",
		"version", "minimumVersion", "supportedConnectionTypes", "connectionType", "timestamp",
	} {
		if fieldOf([]byte(name)) == f {
			return name
		}
	}
	return "?"
}

// wants says which type the field has, for a sentence that ends with it.
func (f field) wants() string {
	switch f {
	case fExt:
		return "an object"
	case fSuccessful:
		return "true or false"
	case fConnectionTypes:
		return "an array of strings"
	}
	return "a string"
}
