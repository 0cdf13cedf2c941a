package replay

import (
	"encoding/json"
	"strconv"
)

// An ID is the position of a message on a channel. Ids grow, with gaps; what
// else they are is the server's own affair.
type ID int64

// Positions that are none of a message.
const (
	New ID = -1 // only what is published from now on
	All ID = -2 // all that the server retains, then what is published
)

// Name is that of the ext field, in handshakes and subscribes.
const Name = "replay"

// Marks is the name of the ext field by which both ends of this module keep
// overlapping subscriptions apart. A client says true in its handshake and gives
// each channel of a subscribe a number of its own, {"/a/*":17}; messages of the
// past have the number of whom they are for, and a [Mark] ends them.
const Marks = "replay.marks"

// Channel is where marks come.
const Channel = "/service/replay"

// A Mark is the data of a message on [Channel]: from here on the subscription of
// that number gets what is published.
type Mark struct {
	Live int64 `json:"live"`
}

// Envelope is the field of data that has no place for an id and therefore stands in
// an envelope, beside its event.replayId: data that is not an object, or is one with
// this field or an event that is none. It is package replayserver's own.
const Envelope = "replay.data"

// ParseID reads an id as it stands in JSON: a number, or the digits of one in a
// string.
func ParseID(text json.RawMessage) (ID, bool) {
	s := string(text)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return ID(n), err == nil
}

// IDOf finds a message's id where Salesforce has it: data.event.replayId. Fields
// whose names differ in case are others.
func IDOf(data json.RawMessage) (ID, bool) {
	if len(data) == 0 || data[0] != '{' {
		return 0, false
	}
	var fields, event map[string]json.RawMessage // not a struct, whose fields take names in any case
	if json.Unmarshal(data, &fields) != nil || json.Unmarshal(fields["event"], &event) != nil {
		return 0, false
	}
	return ParseID(event["replayId"])
}
