package chat

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(t *testing.T, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Page("/bayeux").ServeHTTP(w, r)
	return w
}

// Each file comes with its type, which no browser may guess, and with a policy
// that lets nothing in from elsewhere.
func TestPageFilesAreServedSafely(t *testing.T) {
	for path, typ := range map[string]string{
		"/":          "text/html; charset=utf-8",
		"/chat.css":  "text/css; charset=utf-8",
		"/chat.js":   "text/javascript; charset=utf-8",
		"/room.js":   "text/javascript; charset=utf-8",
		"/bayeux.js": "text/javascript; charset=utf-8",
		"/icon.svg":  "image/svg+xml",
	} {
		t.Run(path, func(t *testing.T) {
			w := get(t, path)
			require.Equal(t, http.StatusOK, w.Code)
			assert.Equal(t, typ, w.Header().Get("Content-Type"))
			assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
			assert.NotEmpty(t, w.Body.String())
			csp := w.Header().Get("Content-Security-Policy")
			assert.Contains(t, csp, "default-src 'none'")
			assert.Contains(t, csp, "script-src 'self'")
			assert.Contains(t, csp, "frame-ancestors 'none'")
			for _, loose := range []string{"unsafe", "http", "*", "data:"} {
				assert.NotContains(t, csp, loose)
			}
		})
	}
}

// A reload costs nothing while the files are the same.
func TestPageFilesAreAskedForOnce(t *testing.T) {
	tag := get(t, "/chat.js").Header().Get("ETag")
	require.NotEmpty(t, tag)
	assert.Equal(t, http.StatusNotModified, get(t, "/chat.js", "If-None-Match", tag).Code)
	assert.NotEqual(t, tag, get(t, "/bayeux.js").Header().Get("ETag"))
}

func TestPageServesNothingElse(t *testing.T) {
	for _, path := range []string{"/index.html", "/page/", "/page/chat.js", "/chat.js/", "/favicon.ico", "/cometdx"} {
		assert.Equal(t, http.StatusNotFound, get(t, path).Code, path)
	}
}

// Who posts here is a Bayeux client that was given the wrong path.
func TestPageTellsAClientWhereBayeuxIs(t *testing.T) {
	r := httptest.NewRequest("POST", "/wrong/handshake", strings.NewReader("[]"))
	w := httptest.NewRecorder()
	Page("/bayeux").ServeHTTP(w, r)
	assert.Equal(t, http.StatusNotFound, w.Code)
	assert.Contains(t, w.Body.String(), "/bayeux")
}

// The page knows where Bayeux is, whatever --path says, and the path cannot
// break out of its attribute.
func TestPageNamesThePathOfBayeux(t *testing.T) {
	assert.Contains(t, get(t, "/").Body.String(), `data-bayeux="/bayeux"`)
	assert.NotContains(t, string(index(`/a"><script>`)), `"><script>`)
}

// What the policy forbids would fail in the browser only: inline code, inline
// style, anything from outside, and text that becomes markup.
func TestPageKeepsItsOwnPolicy(t *testing.T) {
	html := get(t, "/").Body.String()
	inline := regexp.MustCompile(`(?i)\son[a-z]+=|\sstyle=|<style|javascript:|<script(\s[^>]*)?>[^<]`)
	assert.Empty(t, inline.FindAllString(html, -1))
	for _, path := range []string{"/", "/chat.css", "/chat.js", "/room.js", "/bayeux.js"} {
		text := get(t, path).Body.String()
		outside := regexp.MustCompile(`(src|href)="(https?:)?//|url\(["'h/]|@import|from "http`)
		assert.Empty(t, outside.FindAllString(text, -1), path)
		for _, markup := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"} {
			assert.False(t, strings.Contains(text, markup), "%s has %s", path, markup)
		}
	}
}
