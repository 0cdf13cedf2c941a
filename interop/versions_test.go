//go:build interop

package interop

import (
	"fmt"
	"os"
	"regexp"
)

// The versions of the peers are those of the files that pin them.

func npm(name string) string {
	return pinned("peers/js/package-lock.json", `"node_modules/%s": \{\s*"version": "([^"]+)"`, name)
}

func maven(name string) string {
	return pinned("peers/java/pom.xml", `<%s.version>([^<]+)<`, name)
}

func pip(name string) string {
	return pinned("peers/python/requirements.txt", `(?m)^%s==(\S+)`, name)
}

func crate(name string) string {
	return pinned("peers/rust/Cargo.lock", `name = "%s"\s*version = "([^"]+)"`, name)
}

func goModule(path string) string {
	return pinned("peers/gobayeux/go.mod", `%s v(\S+)`, path)
}

func pinned(file, pattern, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	found := regexp.MustCompile(fmt.Sprintf(pattern, name)).FindSubmatch(text)
	if found == nil {
		panic(fmt.Sprintf("interop: no version of %s in %s", name, file))
	}
	return string(found[1])
}
