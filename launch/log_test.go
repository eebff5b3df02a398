package launch

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogLevels(t *testing.T) {
	for level, want := range []string{"", "F", "FE", "FEW", "FEWI", "FEWID"} {
		path := filepath.Join(t.TempDir(), "logs", "n1-7-output.log")
		log, file := NewLog(level, LogFile, path, nil)
		log.Log(context.Background(), LevelFatal, "F")
		log.Error("E")
		log.Warn("W")
		log.Info("I")
		log.Debug("D")
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if (err == nil) != (level > 0) { // nothing to say: no file
			t.Fatalf("level %d: %v", level, err)
		}
		var got string
		for line := range strings.Lines(string(content)) {
			_, after, _ := strings.Cut(line, "msg=")
			got += strings.TrimSpace(after)
		}
		if got != want {
			t.Errorf("level %d: %q, want %q", level, got, want)
		}
		if level > 0 && !strings.Contains(string(content), "level=FATAL msg=F") {
			t.Errorf("level %d: %s", level, content)
		}
	}
}

func TestLogDestinations(t *testing.T) {
	for to, want := range map[string][2]bool{LogFile: {true, false}, LogStdout: {false, true}, LogBoth: {true, true}} {
		dir := t.TempDir()
		stdout, err := os.Create(filepath.Join(dir, "stdout"))
		if err != nil {
			t.Fatal(err)
		}
		log, file := NewLog(4, to, filepath.Join(dir, "log"), stdout)
		log.Info("provider registration completed after 17 us")
		log.Debug("nothing")
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		for i, name := range []string{"log", "stdout"} {
			content, _ := os.ReadFile(filepath.Join(dir, name))
			has := strings.Contains(string(content), "provider registration completed after 17 us")
			if has != want[i] || strings.Contains(string(content), "nothing") {
				t.Errorf("-t %s: in %s: %q", to, name, content)
			}
		}
		if info, err := os.Stat(filepath.Join(dir, "log")); err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v", info.Mode())
		}
		if err := stdout.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
