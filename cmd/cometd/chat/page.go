// Package chat is the page that cometd serve shows at /, and the little that
// the page needs of a server beside ordinary channels: who is in which room,
// and the last messages of each.
//
// The page speaks Bayeux like any other client. A room is the channel
// /chat/ROOM; whoever publishes there, from a page or with cometd pub, is read
// by whoever subscribes there. On top of that:
//
//	/service/chat     {"room":"lobby","id":"k3…","name":"Ada"} is answered with {"history":[…]}
//	/presence         the rooms that somebody is in, to all who subscribe
//	/presence/ROOM    who is in the room, to all who subscribe
package chat

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"net/http"
	"time"
)

//go:embed page
var files embed.FS

// policy lets the page load its own files and talk to its own server, and
// nothing else. A text can become markup nowhere: trusted types are required
// and none is defined.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// types are the files beside the page. They are said here because a system's
// own table may have other ideas, and a browser runs no script of another type.
var types = map[string]string{
	"chat.css":  "text/css; charset=utf-8",
	"chat.js":   "text/javascript; charset=utf-8",
	"room.js":   "text/javascript; charset=utf-8",
	"bayeux.js": "text/javascript; charset=utf-8",
	"icon.svg":  "image/svg+xml",
}

// Page serves the chat page at / and its files beside it; all else is not
// found. Bayeux is the path at which the server is mounted, such as /cometd.
func Page(bayeux string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", asset("text/html; charset=utf-8", index(bayeux)))
	for name, typ := range types {
		mux.Handle("GET /"+name, asset(typ, read(name)))
	}
	return bodiless(mux, bayeux)
}

// bodiless refuses requests with a body, which nothing here reads, at once:
// net/http would wait for it before it answers. They are a Bayeux client's that
// has the wrong path.
func bodiless(h http.Handler, bayeux string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			if r.ProtoMajor == 1 {
				w.Header().Set("Connection", "close")
			}
			http.Error(w, "not found: Bayeux is at "+bayeux, http.StatusNotFound)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// index is the page with the path of Bayeux in it.
func index(bayeux string) []byte {
	var b bytes.Buffer
	t := template.Must(template.New("").Parse(string(read("index.html"))))
	if err := t.Execute(&b, bayeux); err != nil {
		panic("chat: index.html: " + err.Error())
	}
	return b.Bytes()
}

func read(name string) []byte {
	b, err := files.ReadFile("page/" + name)
	if err != nil {
		panic("chat: " + err.Error())
	}
	return b
}

// asset serves one file. A browser asks again each time and is told by the tag
// that it has it already: a new binary is seen at the next reload.
func asset(typ string, content []byte) http.Handler {
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", typ)
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
}
