// Package corpus makes the payloads that tests and benchmarks of the codec
// share: the same bytes on every run. All are synthetic, after what real
// clients send.
package corpus

import (
	"fmt"
	"math/rand"
	"strings"
)

// Chat is the data of the chat messages.
type Chat struct {
	User string   `json:"user"`
	Text string   `json:"text"`
	Room string   `json:"room"`
	Ts   int64    `json:"ts"`
	Tags []string `json:"tags"`
}

// Tick is the data of the price ticks.
type Tick struct {
	Sym    string  `json:"sym"`
	Bid    float64 `json:"bid"`
	Ask    float64 `json:"ask"`
	Last   float64 `json:"last"`
	Vol    int64   `json:"vol"`
	Change float64 `json:"change"`
	Ts     int64   `json:"ts"`
}

const client = "2k1wfxtqb7d3ol0x1e9ya8jpgmz5"

func chat(i int) string {
	return fmt.Sprintf(`{"user":"user%02d","text":"hello everyone, this is message %04d of the room","room":"demo","ts":17321%08d,"tags":["a","b%d"]}`, i%100, i, i*7919, i%10)
}

func tick(r *rand.Rand) string {
	p := 50 + r.Float64()*400
	return fmt.Sprintf(`{"sym":"%c%c%c","bid":%.4f,"ask":%.4f,"last":%.3f,"vol":%d,"change":%.6f,"ts":%d}`,
		'A'+r.Intn(26), 'A'+r.Intn(26), 'A'+r.Intn(26), p, p+0.02, p+0.01, r.Intn(1e7), r.Float64()*4-2, int64(1732100000000)+int64(r.Intn(1e9)))
}

func event(i int) string {
	return fmt.Sprintf(`{"schema":"dffQ2QLzDNHqwB8_sHMxdA","payload":{"CreatedDate":"2026-11-20T17:39:%02d.000Z","CreatedById":"0055g00000AbCdEAAV","Order_Number__c":"ORD-%06d","Account_Name__c":"Müller & Söhne GmbH","Amount__c":%d.5,"Has_Shipped__c":%t,"Notes__c":null,"Address__c":{"street":"Hauptstra\u00dfe %d","city":"K\u00f6ln","geo":[50.9375,6.9603]}},"event":{"replayId":%d,"EventUuid":"5a0e4a4c-2d1e-4b7b-9c2f-%012d","EventApiName":"Order_Event__e"}}`, i%60, i, 1000+i*13, i%2 == 0, i, 90000+i, i)
}

func uni(i int) string {
	return fmt.Sprintf(`{"from":"\u738b\u5c0f\u660e","text":"こんにちは世界、これは%d番目のメッセージです 🎉","esc":"line1\nline2\t\"quoted\" \ud83d\ude00 back\\slash","ru":"Привет, мир"}`, i)
}

const deepExt = `{"auth":{"token":"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc","scope":["a","b",{"x":{"y":{"z":{"deep":[[[[[[1,2,3]]]]]]}}}}]},"ack":42,"timesync":{"tc":1732100000123,"l":12,"o":-3}}`

func pub(i int, ch, data string) string {
	return fmt.Sprintf(`{"channel":%q,"id":"%d","clientId":"%s","data":%s}`, ch, i, client, data)
}

func batch(n int, f func(i int) string) []byte {
	s := make([]string, n)
	for i := range s {
		s[i] = f(i)
	}
	return []byte("[" + strings.Join(s, ",") + "]")
}

// A Doc is one payload.
type Doc struct {
	Name string
	B    []byte
}

// Docs makes all payloads: pub1 is one publish, connect and handshake are
// meta messages, names that end in 10 or 100 are batches of so many, and
// json100k and text100k are one publish with 100 KB of data.
func Docs() []Doc {
	r := rand.New(rand.NewSource(1))
	one := batch(1, func(i int) string { return pub(17, "/chat/demo", chat(17)) })
	chat10 := batch(10, func(i int) string { return pub(i, "/chat/demo", chat(i)) })
	tick10 := batch(10, func(i int) string { return pub(i, "/stock/"+[]string{"nasdaq", "nyse", "xetra"}[i%3], tick(r)) })
	event10 := batch(10, func(i int) string {
		return fmt.Sprintf(`{"data":%s,"channel":"/event/Order_Event__e"}`, event(i))
	})
	uni10 := batch(10, func(i int) string { return pub(i, "/chat/世界", uni(i)) })
	ext10 := batch(10, func(i int) string {
		return fmt.Sprintf(`{"ext":%s,"channel":"/chat/demo","id":"%d","clientId":"%s","data":%s}`, deepExt, i, client, chat(i))
	})
	mixed100 := batch(100, func(i int) string {
		switch i % 4 {
		case 0:
			return pub(i, fmt.Sprintf("/stock/%d", i%20), tick(r))
		case 1:
			return pub(i, "/event/Order_Event__e", event(i))
		case 2:
			return pub(i, "/chat/世界", uni(i))
		}
		return pub(i, "/chat/demo", chat(i))
	})
	connect := []byte(`[{"id":"42","channel":"/meta/connect","connectionType":"websocket","advice":{"timeout":0},"clientId":"` + client + `"}]`)
	handshake := []byte(`[{"id":"1","version":"1.0","minimumVersion":"1.0","channel":"/meta/handshake","supportedConnectionTypes":["websocket","long-polling","callback-polling"],"advice":{"timeout":60000,"interval":0},"ext":{"ack":true}}]`)
	var big strings.Builder
	big.WriteString(`[`)
	for i := 0; big.Len() < 100<<10; i++ {
		if i > 0 {
			big.WriteByte(',')
		}
		switch i % 3 {
		case 0:
			big.WriteString(event(i))
		case 1:
			big.WriteString(tick(r))
		default:
			big.WriteString(chat(i))
		}
	}
	big.WriteString(`]`)
	big100k := batch(1, func(int) string { return pub(1, "/upload", big.String()) })
	text100k := batch(1, func(int) string {
		return pub(1, "/upload", `{"text":"`+strings.Repeat("the quick brown fox jumps over the lazy dog, ", 100<<10/45)+`"}`)
	})
	deliver10 := batch(10, func(i int) string {
		return fmt.Sprintf(`{"channel":"/chat/demo","data":%s,"id":"%d"}`, chat(i), i)
	})
	deliver10t := batch(10, func(i int) string {
		return fmt.Sprintf(`{"channel":"/stock/nasdaq","data":%s}`, tick(r))
	})
	return []Doc{
		{"pub1", one}, {"chat10", chat10}, {"tick10", tick10}, {"event10", event10}, {"uni10", uni10}, {"ext10", ext10},
		{"mixed100", mixed100}, {"connect", connect}, {"handshake", handshake}, {"json100k", big100k}, {"text100k", text100k},
		{"deliver10", deliver10}, {"deliver10tick", deliver10t},
	}
}

// Get makes one payload; it panics if there is none of that name.
func Get(name string) []byte {
	for _, d := range Docs() {
		if d.Name == name {
			return d.B
		}
	}
	panic("corpus: no payload " + name)
}
