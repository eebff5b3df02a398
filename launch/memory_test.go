package launch

import (
	"os"
	"path/filepath"
	"testing"
)

func TestShare(t *testing.T) {
	for _, c := range []struct {
		memory, limit int64
		sharers       int
		want          int64
	}{
		{512 << 30, 0, 1, 16 << 30},      // never more
		{64 << 30, 0, 1, 8 << 30},        // an eighth
		{64 << 30, 16 << 30, 1, 2 << 30}, // of what the control group may use
		{16 << 30, 64 << 30, 1, 2 << 30}, // which may be more than there is
		{64 << 30, 0, 4, 2 << 30},        // shared by the daemons of the host
		{1 << 30, 0, 1, 256 << 20},       // never less
		{1 << 30, 0, 8, 64 << 20},        // but half of it for all daemons
		{256 << 20, 0, 8, 32 << 20},      // and what a daemon needs
		{64 << 30, 600 << 20, 2, 150 << 20},
		{0, 0, 0, 256 << 20}, // unknown
	} {
		if got := share(c.memory, c.limit, c.sharers); got != c.want {
			t.Errorf("%d bytes, limit %d, %d daemons: %d, want %d", c.memory, c.limit, c.sharers, got, c.want)
		}
	}
	if got := DefaultMemory(1); got < leastMemory || got > mostMemory {
		t.Errorf("on this host: %d", got)
	}
}

func TestCgroupLimit(t *testing.T) {
	for name, c := range map[string]struct {
		self  string
		files map[string]string
		want  int64
	}{
		"version 2":         {"0::/job/step\n", map[string]string{"job/step/memory.max": "max\n", "job/memory.max": "1000\n"}, 1000},
		"the smallest":      {"0::/job/step\n", map[string]string{"job/step/memory.max": "500\n", "job/memory.max": "1000\n"}, 500},
		"memory.high":       {"0::/job/step\n", map[string]string{"job/step/memory.max": "900\n", "job/step/memory.high": "800\n", "job/memory.max": "1000\n"}, 800},
		"no limit":          {"0::/job/step\n", map[string]string{"job/step/memory.max": "max\n", "job/step/memory.high": "max\n"}, 0},
		"of all":            {"0::/\n", map[string]string{"memory.max": "300\n"}, 300},
		"above a container": {"0::/../../step\n", map[string]string{"memory.max": "300\n"}, 300},
		"Slurm":             {"0::/system.slice/slurmstepd.scope/job_7/step_0/user/task_0\n", map[string]string{"system.slice/slurmstepd.scope/job_7/memory.max": "600\n", "system.slice/slurmstepd.scope/job_7/step_0/user/task_0/memory.max": "max\n"}, 600},
		"Slurm, version 1":  {"9:memory:/slurm/uid_5/job_7/step_0/task_0\n", map[string]string{"memory/slurm/uid_5/job_7/memory.limit_in_bytes": "600\n", "memory/slurm/uid_5/memory.limit_in_bytes": "9223372036854771712\n"}, 600},
		"PBS, version 1":    {"9:memory:/pbspro.service/jobid/7.n1\n", map[string]string{"memory/pbspro.service/jobid/7.n1/memory.limit_in_bytes": "400\n"}, 400},
		"both versions":     {"4:cpu,memory:/job\n0::/other\n", map[string]string{"memory/job/memory.limit_in_bytes": "700\n", "other/memory.max": "650\n"}, 650},
		"not a number":      {"0::/job\n", map[string]string{"job/memory.max": "-1\n", "memory.max": ""}, 0},
		"version 1":         {"3:cpu:/job\n4:memory:/job\n", map[string]string{"memory/job/memory.limit_in_bytes": "700\n"}, 700},
		"version 1 without": {"4:memory:/job\n", map[string]string{"memory/job/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		"none":              {"", nil, 0},
	} {
		root := t.TempDir()
		self := filepath.Join(root, "self")
		if err := os.WriteFile(self, []byte(c.self), 0o600); err != nil {
			t.Fatal(err)
		}
		for path, content := range c.files {
			path = filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := cgroupLimit(self, root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
