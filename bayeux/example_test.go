package bayeux_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gocometd/cometd/bayeux"
)

func Example() {
	m, err := bayeux.NewPublish("2k1wfxtqb7d3", "/quotes/ACME", map[string]float64{"bid": 101.5})
	if err != nil {
		fmt.Println(err)
		return
	}
	m.ID = "7"
	text, _ := json.Marshal(m)
	fmt.Println(string(text))

	var reply bayeux.Message
	_ = json.Unmarshal([]byte(`{"channel":"/quotes/ACME","id":"7","successful":false,"error":"403:not_yours:publish_denied"}`), &reply)
	fmt.Println(reply.IsReply(), reply.Err())
	// Output:
	// {"channel":"/quotes/ACME","id":"7","clientId":"2k1wfxtqb7d3","data":{"bid":101.5}}
	// true bayeux: /quotes/ACME: 403 publish_denied (not_yours)
}

func ExampleError() {
	err := error(bayeux.ParseError("/meta/connect", "402::session_unknown"))
	fmt.Println(errors.Is(err, bayeux.ErrUnknownSession))
	if e, ok := errors.AsType[*bayeux.Error](err); ok {
		fmt.Println(e.Code, e.Message)
	}
	// Output:
	// true
	// 402 session_unknown
}

func ExampleChannel_Patterns() {
	for p := range bayeux.Channel("/stock/nasdaq/ACME").Patterns {
		fmt.Println(p)
	}
	// Output:
	// /**
	// /stock/**
	// /stock/nasdaq/**
	// /stock/nasdaq/*
	// /stock/nasdaq/ACME
}

func ExampleParseRemote() {
	const filtered = "/topic/Orders?Region='EU'"
	_, err := bayeux.ParsePattern(filtered) // a server's rule
	fmt.Println(err)
	ch, _ := bayeux.ParseRemote(filtered) // a client's
	fmt.Println(ch.WithoutFilter())
	// Output:
	// bayeux: channel has an illegal character at 13: /topic/Orders?Region='EU'
	// /topic/Orders
}

func ExampleTemplate_Match() {
	news, _ := bayeux.ParseTemplate("/news/{category}/{id}")
	vars, ok := news.Match("/news/sport/7")
	fmt.Println(ok, vars["category"], vars["id"])
	// Output: true sport 7
}

func ExampleSpan() {
	var m bayeux.Message
	_ = json.Unmarshal([]byte(`{"channel":"/meta/connect","advice":{"interval":0}}`), &m)
	fmt.Println(m.Advice.Interval.Or(time.Second), m.Advice.Timeout.Or(20*time.Second))
	// Output: 0s 20s
}

func ExampleState_Next() {
	var s bayeux.State // a new client is disconnected
	for _, e := range []bayeux.Event{bayeux.HandshakeSent, bayeux.HandshakeOK, bayeux.ConnectOK, bayeux.ConnectionLost, bayeux.ConnectOK} {
		s, _ = s.Next(e)
		fmt.Println(s)
	}
	_, err := s.Next(bayeux.HandshakeOK)
	fmt.Println(err)
	// Output:
	// handshaking
	// connecting
	// connected
	// unconnected
	// connected
	// bayeux: state connected does not allow the event handshake ok
}
