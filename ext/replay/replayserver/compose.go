package replayserver

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/gocometd/cometd/ext/replay"
)

// withID puts a message's id into its data, where Salesforce has it:
// data.event.replayId. Data that is not an object, has an event of its own that
// is none, or would look like an envelope, goes into one.
func withID(data []byte, id replay.ID) []byte {
	number := strconv.AppendInt(nil, int64(id), 10)
	if len(data) == 0 || data[0] != '{' {
		return envelope(data, number)
	}
	if bytes.Contains(data, []byte(`"event"`)) || bytes.Contains(data, []byte(`"`+replay.Envelope+`"`)) || bytes.IndexByte(data, '\\') >= 0 {
		var fields map[string]json.RawMessage
		if json.Unmarshal(data, &fields) != nil {
			return envelope(data, number)
		}
		if _, ok := fields[replay.Envelope]; ok {
			return envelope(data, number) // or a client would take it off
		}
		if event, ok := fields["event"]; ok {
			return withinEvent(data, fields, event, number)
		}
	}
	out := append(make([]byte, 0, len(data)+40), `{"event":{"replayId":`...)
	out = append(append(out, number...), '}')
	if rest := bytes.TrimLeft(data[1:], " \t\r\n"); rest[0] != '}' {
		out = append(out, ',')
	}
	return append(out, data[1:]...)
}

func withinEvent(data []byte, fields map[string]json.RawMessage, event json.RawMessage, number []byte) []byte {
	var inner map[string]json.RawMessage
	if json.Unmarshal(event, &inner) != nil || inner == nil {
		return envelope(data, number)
	}
	inner["replayId"] = number
	fields["event"], _ = json.Marshal(inner)
	out, err := json.Marshal(fields)
	if err != nil {
		return envelope(data, number)
	}
	return out
}

// envelope is for data that has no place for an id.
func envelope(data, number []byte) []byte {
	if len(data) == 0 {
		data = []byte("null")
	}
	out := append(make([]byte, 0, len(data)+64), `{"event":{"replayId":`...)
	out = append(append(out, number...), `},"`+replay.Envelope+`":`...)
	return append(append(out, data...), '}')
}
