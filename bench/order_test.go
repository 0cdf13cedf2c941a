package bench

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/codec"
)

// numbered are texts of 128 bytes that begin with their number: what is published on
// a channel, in turn. So a listener sees what is missing or out of order, and nothing
// is encoded while it is measured.
var numbered = func() (all [100]codec.Raw) {
	for i := range all {
		all[i], _ = codec.Encode(fmt.Sprintf("%02d", i) + strings.Repeat("x", 124)) // a text is JSON
	}
	return all
}()

// An order is the number that a listener is to hear next.
type order int

var eventMark = []byte(`"data":"`)

// check returns how many events a payload has.
func (o *order) check(payload []byte) (events int, err error) {
	for {
		_, data, ok := bytes.Cut(payload, eventMark)
		if !ok {
			return events, nil
		}
		if err := o.next(data); err != nil {
			return events, err
		}
		payload = data
		events++
	}
}

// next takes the text of an event.
func (o *order) next(text []byte) error {
	if len(text) < 2 || order(text[0]-'0')*10+order(text[1]-'0') != *o {
		return fmt.Errorf("message %.2s came where %02d was due, of %d that take turns", text, *o, len(numbered))
	}
	*o = (*o + 1) % order(len(numbered))
	return nil
}

// What is missing, or comes twice, is an error.
func TestAnOrderSeesWhatIsMissing(t *testing.T) {
	payload := func(numbers ...int) (text []byte) {
		for _, n := range numbers {
			text = fmt.Appendf(text, `{"channel":"/a","data":%s},`, numbered[n].AppendTo(nil))
		}
		return text
	}
	var o order
	for n := range len(numbered) / 2 {
		events, err := o.check(payload(2*n, 2*n+1))
		require.NoError(t, err)
		assert.Equal(t, 2, events)
	}
	events, err := o.check([]byte(`[{"channel":"/meta/connect","successful":true}]`))
	require.NoError(t, err)
	assert.Zero(t, events)
	events, err = o.check(payload(0, 2))
	assert.EqualError(t, err, "message 02 came where 01 was due, of 100 that take turns")
	assert.Equal(t, 1, events)
	_, err = o.check(payload(0))
	assert.ErrorContains(t, err, "message 00 came")
}
