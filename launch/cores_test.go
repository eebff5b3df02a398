package launch

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func coresOf(t *testing.T, list string) Cores {
	t.Helper()
	var c Cores
	if err := c.UnmarshalText([]byte(list)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCoresAreAList(t *testing.T) {
	for list, want := range map[string]string{
		"48,49,50,51": "48-51", "48-51": "48-51", "1,2,65,66": "1-2,65-66", "3,1,1": "1,3", "7": "7", "": "none", "none": "none", "0, 2": "0,2",
	} {
		c := coresOf(t, list)
		if c.String() != want || coresOf(t, c.String()).String() != want || c.All() != (want == "none") {
			t.Errorf("%q: %v, want %s", list, c, want)
		}
	}
	for _, list := range []string{"x", "1,", "-1", "4-2", "1;2", "65536", "0-99999999999"} {
		var c Cores
		if err := c.UnmarshalText([]byte(list)); err == nil || !strings.Contains(err.Error(), "48-51") {
			t.Errorf("%q: %v, %v", list, c, err)
		}
	}
}

// TestBindings: the launchers' own terms for the same cores.
func TestBindings(t *testing.T) {
	for list, want := range map[string][2]string{
		"48-51":     {"mask_cpu:0xf000000000000", "list:48-51"},
		"1,2,65,66": {"mask_cpu:0x60000000000000006", "list:1-2,65-66"},
		"0":         {"mask_cpu:0x1", "list:0"},
		"none":      {"none", "none"},
	} {
		c := coresOf(t, list)
		if slurm, pals := c.SlurmBinding(), c.PALSBinding(); slurm != want[0] || pals != want[1] {
			t.Errorf("%s: %s, %s; want %v", list, slurm, pals, want)
		}
	}
}

func TestOverlaps(t *testing.T) {
	for _, c := range []struct{ cores, name, value, want string }{
		{"1,2", "SLURM_CPU_BIND", "quiet,map_cpu:0,1,2,3", "on 1-2:"},
		{"1,2", "SLURM_CPU_BIND", "verbose,mask_cpu:0xff00,0x4", "on 2:"},
		{"1,2", "SLURM_CPU_BIND_LIST", "0x6*2,0x60", "on 1-2:"},
		{"48-51", "PALS_CPU_BIND", "list:0-7:48-55", "on 48-51:"},
		{"4", "CPU_BIND", "--cpu-bind=list:4:56:9:61", "on 4:"},
		{"56", "CPU_BIND", "4:56:9:61", "on 56:"},
		{"48-51", "SLURM_CPU_BIND", "quiet,mask_cpu:0xffff", ""},
		{"1,2", "SLURM_CPU_BIND", "cores", ""},
		{"1,2", "SLURM_CPU_BIND", "none", ""},
		{"1", "PALS_CPU_BIND", "depth", ""},
		{"0", "CPU_BIND", ":,:0x", ""},
		{"none", "SLURM_CPU_BIND", "map_cpu:0,1", ""},
		{"1,2", "", "", ""},
	} {
		lines := coresOf(t, c.cores).Overlaps(func(name string) string {
			if name == c.name {
				return c.value
			}
			return ""
		})
		if got := strings.Join(lines, "\n"); (c.want == "") != (got == "") || !strings.Contains(got, c.want) || len(lines) > 1 {
			t.Errorf("%s and %s=%s: %q, want %q", c.cores, c.name, c.value, got, c.want)
		}
	}
	if lines := coresOf(t, "1").Overlaps(func(string) string { return "map_cpu:1" }); len(lines) != 1 {
		t.Errorf("the same overlap is told %d times: %q", len(lines), lines)
	}
}

// TestCoresThatAreNot: named, with what there is; the threads of this process stay where they are.
func TestCoresThatAreNot(t *testing.T) {
	before := allowedCores("/proc/self/status")
	first, _, _ := strings.Cut(before, ",")
	first, _, _ = strings.Cut(first, "-")
	for _, list := range []string{"4095", first + ",4094-4095"} {
		for name, try := range map[string]func() error{"check": coresOf(t, list).Check, "bind": coresOf(t, list).tryThread} {
			err := try()
			if ExitCode(err) != ExitBadInput || !strings.Contains(err.Error(), "4095") || !strings.Contains(err.Error(), "this node has no") {
				t.Errorf("%s %s: %v", name, list, err)
			}
		}
	}
	if err := coresOf(t, first).Check(); err != nil {
		t.Error(err)
	}
	if after := allowedCores("/proc/self/status"); after != before {
		t.Errorf("this process had cores %s, now %s", before, after)
	}
}

// TestBindReachesEveryThread: in a process of its own, whose children are bound too.
func TestBindReachesEveryThread(t *testing.T) {
	allowed, err := parseCores(allowedCores("/proc/self/status"))
	if err != nil {
		t.Fatal(err)
	}
	one := ""
	for core := range allowed {
		one = coreList([]int{core})
	}
	if os.Getenv("COPPER_TEST_BIND") == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestBindReachesEveryThread$", "-test.v")
		cmd.Env = append(os.Environ(), "COPPER_TEST_BIND="+one, "GOMAXPROCS=")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	one = os.Getenv("COPPER_TEST_BIND")
	end := make(chan bool)
	defer close(end)
	for range 4 { // threads there were before
		started := make(chan bool)
		go func() {
			runtime.LockOSThread()
			started <- true
			<-end
		}()
		<-started
	}
	if err := coresOf(t, one).Bind(); err != nil {
		t.Fatal(err)
	}
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(threads) < 5 {
		t.Fatalf("%d threads, %v", len(threads), err)
	}
	for _, status := range threads {
		if got := allowedCores(status); got != one && got != "" { // one that has ended meanwhile
			t.Errorf("%s: cores %s, want %s", status, got, one)
		}
	}
	if runtime.GOMAXPROCS(0) != 1 {
		t.Errorf("GOMAXPROCS is %d", runtime.GOMAXPROCS(0))
	}
	out, err := exec.Command("grep", "Cpus_allowed_list", "/proc/self/status").Output()
	if err != nil || strings.TrimSpace(strings.TrimPrefix(string(out), "Cpus_allowed_list:")) != one {
		t.Errorf("a child has %s, %v", out, err)
	}
}

// TestCoresOfOthers: cores that exist and are not this process's to use.
func TestCoresOfOthers(t *testing.T) {
	err := coresOf(t, "0").refused([]int{0})
	if ExitCode(err) != ExitBadInput || !strings.Contains(err.Error(), "core 0 is not for this job step") {
		t.Error(err)
	}
}
