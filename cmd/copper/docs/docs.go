package docs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/alecthomas/kong"
)

// Edition says what the documents are of.
type Edition struct {
	Version string
	Date    time.Time // of the sources; zero if unknown
}

// Write writes all documents of app below dir, at the places that they have below an installation's
// share. It makes the directories.
func Write(dir string, app *kong.Application, edition Edition) error {
	all := commands(app)
	files := map[string][]byte{
		filepath.Join("bash-completion", "completions", app.Name):       bash(all),
		filepath.Join("zsh", "site-functions", "_"+app.Name):            zsh(all),
		filepath.Join("fish", "vendor_completions.d", app.Name+".fish"): fish(all),
	}
	for _, c := range all {
		var page bytes.Buffer
		writePage(&page, c, edition)
		files[filepath.Join("man", "man1", c.page()+".1")] = page.Bytes()
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
