package launch

import (
	"os"
	"os/exec"
	"testing"
)

func TestServes(t *testing.T) {
	cmd := fakeServe(t, "7")
	p := readProcess(cmd.Process.Pid)
	if p == nil {
		t.Fatal("the process is not seen")
	}
	for _, c := range []struct {
		job  string
		born uint64
		want bool
	}{{"7", 0, true}, {"7", p.born, true}, {"7", p.born + 1, false}, {"8", 0, false}} {
		if got := serves(cmd.Process.Pid, c.job, c.born); got != c.want {
			t.Errorf("job %s, born %d: %v", c.job, c.born, got)
		}
	}
	if serves(os.Getpid(), "7", 0) {
		t.Error("this test is no daemon")
	}
	for _, pid := range []int{0, -1, 1 << 30} {
		if serves(pid, "7", 0) {
			t.Errorf("process %d is no daemon", pid)
		}
	}
}

func TestServesByArguments(t *testing.T) {
	for _, c := range []struct {
		args []string
		want bool
	}{
		{[]string{"copper", "serve"}, true},
		{[]string{"copper", "serve", "--job=7"}, true},
		{[]string{"copper", "serve", "--job", "7", "-l", "5"}, true},
		{[]string{"copper", "daemon", "--job=7"}, true},
		{[]string{"copper", "daemon", "--job=8"}, false},
		{[]string{"copper", "serve", "--job=8"}, false},
		{[]string{"copper", "serve", "--job", "8"}, false},
		{[]string{"copper", "status", "--job", "7"}, false},
		{[]string{"serve"}, false},
		{[]string{""}, false},
	} {
		if got := (&process{args: c.args}).serves("7"); got != c.want {
			t.Errorf("%q: %v", c.args, got)
		}
	}
}

// TestZombieHasEnded: a process that nobody has waited for yet does not run.
func TestZombieHasEnded(t *testing.T) {
	cmd := exec.Command("true")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = out.Read(make([]byte, 1)) // returns when it has closed its end
	if !await(t.Context(), killBound, func() bool { return readProcess(cmd.Process.Pid) == nil }) {
		t.Error("a zombie is taken for a process")
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
