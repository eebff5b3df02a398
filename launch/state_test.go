package launch

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestStateRoundTrip(t *testing.T) {
	dir := JobDirOf(filepath.Join(t.TempDir(), "base"), "7")
	if s, err := dir.ReadState(); s != nil || err != nil {
		t.Fatalf("state before there is one: %v, %v", s, err)
	}
	if err := dir.Make(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []State{
		{ID: "7", Phase: Starting, Started: time.Now().UTC().Round(0)},
		{ID: "7", Phase: Ready, Started: time.Now().UTC().Round(0), Ranks: []Rank{
			{0, "n1", 10, "/tmp/a b"}, {1, "n2", 11, `/tmp/"quoted"`},
		}},
		{ID: "7", Phase: Failed, Error: "n2 (rank 1): no\nroom", BadInput: true, Ranks: []Rank{{Host: "n1"}}},
	} {
		if err := dir.WriteState(want); err != nil {
			t.Fatal(err)
		}
		got, err := dir.ReadState()
		if err != nil {
			t.Fatal(err)
		}
		if got.Changed.IsZero() {
			t.Error("the time of the change is missing")
		}
		want.Version, want.Changed = got.Version, got.Changed
		if want.Ranks == nil {
			want.Ranks = []Rank{}
		}
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("read %+v, want %+v", *got, want)
		}
	}
	content, err := os.ReadFile(dir.stateFile())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(content), "\n{\"rank\":0,\"host\":\"n1\"") {
		t.Errorf("ranks are not one a line:\n%s", content)
	}
}

func TestJobDirIsPrivate(t *testing.T) {
	dir := JobDirOf(filepath.Join(t.TempDir(), "base"), "7")
	if err := dir.Make(); err != nil {
		t.Fatal(err)
	}
	if err := dir.WriteState(State{ID: "7", Phase: Starting}); err != nil {
		t.Fatal(err)
	}
	if err := dir.WriteNodeFile([]string{"n1", "n2"}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{
		filepath.Dir(string(dir)): os.ModeDir | 0o700,
		string(dir):               os.ModeDir | 0o700,
		dir.Logs():                os.ModeDir | 0o700,
		dir.stateFile():           0o600,
		dir.NodeFile():            0o600,
	} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s: mode %v, want %v", path, info.Mode(), want)
		}
	}
	names, err := os.ReadDir(string(dir))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 2 { // no left-over of the rename
		t.Errorf("in the job's directory: %v", names)
	}
}

func TestBadStateFiles(t *testing.T) {
	for what, content := range map[string]string{
		"not JSON":      "starting",
		"cut off":       `{"version":1,"id":"7"`,
		"other version": `{"version":2,"id":"7","state":"ready"}`,
	} {
		dir := JobDirOf(t.TempDir(), "7")
		if err := dir.Make(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir.stateFile(), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := dir.ReadState(); err == nil || !strings.Contains(err.Error(), dir.stateFile()) {
			t.Errorf("%s: %v, %v; want an error that names the file", what, s, err)
		}
	}
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := JobDirOf(blocked, "7").Make(); ExitCode(err) != ExitBadInput {
		t.Errorf("a job directory below a file: %v, want bad input", err)
	}
}

func TestTook(t *testing.T) {
	var s State
	begun := time.Unix(100, 0)
	for i, p := range []Phase{Connected, Mounted, AllMounted, Ready} {
		s.Reach(p, begun.Add(time.Duration(100*(i+1)*(i+1))*time.Millisecond))
	}
	if s.Phase != Ready || len(s.Reached) != 4 {
		t.Errorf("in phase %s, reached %v", s.Phase, s.Reached)
	}
	want := "1.6s (100ms for the launcher and MPI, 300ms until the first mount answered, 500ms until all did, 700ms to leave MPI)"
	if got := s.Took(begun); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
