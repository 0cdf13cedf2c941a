package codec_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
)

// A publish on its way through a server: read, encoded once, shared by all.
func Example() {
	frame := strings.NewReader(`[{"channel":"/chat/room","id":7,"clientId":"2k1wf","data":{"text":"hello"}}]`)
	b, err := codec.Read(frame, codec.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Release()

	v := &b.Views[0]
	event := codec.AppendEvent(nil, string(v.Channel), v.Data)
	reply := codec.AppendAck(nil, v.Channel, v.ID)
	fmt.Printf("%s\n%s\n", event, reply)
	// Output:
	// {"channel":"/chat/room","data":{"text":"hello"}}
	// {"channel":"/chat/room","id":"7","successful":true}
}

func ExampleBatch_Detach() {
	b, _ := codec.Parse([]byte(`[{"channel":"/meta/connect","id":"3","advice":{"timeout":0}}]`), codec.Limits{})
	ms := b.Detach()
	b.Release() // the messages live on
	fmt.Println(ms[0], ms[0].Advice.Timeout)
	// Output: /meta/connect id=3 0s
}

func ExampleError() {
	for _, payload := range []string{`[{"id":"1"},{"id":"2"},{"id":"3"}]`, `[{"ext":true}]`} {
		_, err := codec.Parse([]byte(payload), codec.Limits{Messages: 2})
		if e, ok := errors.AsType[*codec.Error](err); ok && e.Limit != "" {
			fmt.Println("too big:", e)
		} else {
			fmt.Println("no good:", err)
		}
	}
	// Output:
	// too big: codec: batch over the limit of 2 messages at offset 23
	// no good: codec: field "ext" is not an object at offset 8
}

func ExampleEncode() {
	data, err := codec.Encode(map[string]any{"bid": 101.5, "raw": []int{1, 2}})
	fmt.Println(data, err)
	_, err = codec.Encode([]byte(`{"bid":`)) // bytes are JSON text
	fmt.Println(err)
	// Output:
	// {"bid":101.5,"raw":[1,2]} <nil>
	// codec: unexpected end of JSON at offset 7
}

func ExampleAppendMessage() {
	reply := &bayeux.Message{Channel: bayeux.MetaSubscribe, ID: "4", Outcome: bayeux.Failed, Error: bayeux.Errorf(403, "subscribe_denied").Wire()}
	out, err := codec.AppendMessage(nil, reply)
	fmt.Println(string(out), err)
	// Output: {"channel":"/meta/subscribe","id":"4","successful":false,"error":"403::subscribe_denied"} <nil>
}
