package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
)

// expect compares findings with what is wanted of each: its level and a part of what it says.
func expect(t *testing.T, what string, got []Finding, want ...string) {
	t.Helper()
	var lines []string
	for _, f := range got {
		lines = append(lines, fmt.Sprintf("%s: %s => %s", f.Level, f.Found, f.Advice))
		if (f.Level == Fine) != (f.Advice == "") {
			t.Errorf("%s: advice goes with what is not well, and only with that: %+v", what, f)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d findings, want %d\n%s", what, len(got), len(want), strings.Join(lines, "\n"))
		return
	}
	for i, w := range want {
		level, text, _ := strings.Cut(w, ": ")
		if string(got[i].Level) != level || !strings.Contains(lines[i], text) {
			t.Errorf("%s: %s\nwant %s", what, lines[i], w)
		}
	}
}

// examFixture is a check that behaves as its last argument asks.
func examFixture(behave string) {
	switch behave {
	case "hang":
		time.Sleep(time.Hour)
	case "fail":
		fmt.Fprintln(os.Stderr, "no such luck")
		os.Exit(1)
	case "babble":
		fmt.Println("?")
	default:
		_ = json.NewEncoder(os.Stdout).Encode([]Finding{fine("%s", behave), warning("do that", "but")})
	}
	os.Exit(0)
}

// TestExamine: checks can't hold each other up, and what becomes of one that fails is told.
func TestExamine(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	exam := func(name, behave string, bound time.Duration) Exam {
		return Exam{Name: name, Args: []string{"exam", behave}, Bound: bound, Hung: HungPath("/pfs", bound)}
	}
	findings := Examine(t.Context(), program, []Exam{
		exam("first", "hang", 100*time.Millisecond), exam("second", "well", time.Minute),
		exam("third", "fail", time.Minute), exam("fourth", "babble", time.Minute),
	})
	expect(t, "exams", findings, "problem: /pfs does not answer within 100ms", "ok: well", "warning: but => do that",
		"problem: could not be made: no such luck", "problem: told nothing")
	for i, name := range []string{"first", "second", "second", "third", "fourth"} {
		if findings[i].Check != name {
			t.Errorf("finding %d is of check %s, want %s", i, findings[i].Check, name)
		}
	}
	expect(t, "no program", Examine(t.Context(), "/nonexistent", []Exam{exam("a", "well", time.Minute)}), "problem: /nonexistent")
}

func TestDiagnosisText(t *testing.T) {
	f := []Finding{fine("it\nopens"), warning("do that", "slow"), problem("do this", "broken"), problem("and this", "broken too")}
	for i, name := range []string{"device", "kernel", "mounts", "mounts"} {
		f[i].Check = name
	}
	for _, c := range []struct {
		findings []Finding
		colour   bool
		want     string
	}{
		{f, false, `ok       device  it opens
warning  kernel  slow
                 -> do that
problem  mounts  broken
                 -> do this
problem  mounts  broken too
                 -> and this

n1: 2 problems, 1 warning
`},
		{f[:2], false, "ok       device  it opens\nwarning  kernel  slow\n                 -> do that\n\nn1: no problem, 1 warning\n"},
		{f[:1], true, "\x1b[32mok     \x1b[0m  device  it opens\n\nn1: all is well\n"},
		{f[2:3], false, "problem  mounts  broken\n                 -> do this\n\nn1: 1 problem\n"},
	} {
		var out strings.Builder
		if err := NewDiagnosis("n1", c.findings).WriteText(&out, c.colour); err != nil || out.String() != c.want {
			t.Errorf("%v:\n%s\nwant\n%s", err, out.String(), c.want)
		}
	}
	d := NewDiagnosis("n1", f)
	if d.Version != 1 || d.Problems != 2 || d.Warnings != 1 {
		t.Errorf("%+v", d)
	}
}

func TestCheckMPI(t *testing.T) {
	for name, c := range map[string]struct {
		mpi      MPI
		programs map[string]string
		want     []string
	}{
		"its own": {OpenMPILib, map[string]string{"mpirun": openMPI5}, []string{"ok: built with Open MPI; its launcher is /bin/mpirun"}},
		"both": {MPICHLib, map[string]string{"mpiexec.hydra": hydraVersion, "mpiexec": openMPIVersion, "mpirun": openMPIVersion},
			[]string{"ok: /bin/mpiexec.hydra", "warning: but /bin/mpiexec is Open MPI's, /bin/mpirun is Open MPI's => in job scripts call mpiexec.hydra by this name"}},
		"only another": {OpenMPILib, map[string]string{"mpiexec": hydraVersion},
			[]string{"problem: whose launcher is not in PATH; /bin/mpiexec is MPICH's => load the module of Open MPI"}},
		"none":       {MPICHLib, nil, []string{"problem: looked for mpiexec.hydra, "}},
		"a stranger": {MPICHLib, map[string]string{"mpiexec": "Another 1.2"}, []string{"warning: /bin/mpiexec is of no MPI that copper knows"}},
	} {
		expect(t, name, Doctor{Search: system(c.programs), Getenv: func(string) string { return "" }}.launcherFor(c.mpi), c.want...)
	}
	expect(t, "not a binary", Doctor{Program: "/nonexistent"}.CheckMPI(), "problem: /nonexistent")
}

func TestCheckScheduler(t *testing.T) {
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte("n1.site\nn1.site\nn2.site\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host string
		env  map[string]string
		want []string
	}{
		{"n1", nil, []string{"ok: no PBS or Slurm job"}},
		{"n1", map[string]string{"PBS_JOBID": "7.pbs", "PBS_NODEFILE": hosts}, []string{"ok: PBS job 7 of 2 hosts, this one"}},
		{"login", map[string]string{"PBS_JOBID": "7.pbs", "PBS_NODEFILE": hosts}, []string{"warning: (n1.site, n2.site), and this host, login, is none of them"}},
		{"n1", map[string]string{"PBS_JOBID": "7.pbs"}, []string{"warning: PBS_NODEFILE of PBS's job 7: it is not set"}},
		{"n1", map[string]string{"PBS_JOBID": "7.pbs", "PBS_NODEFILE": "/nonexistent"}, []string{"warning: /nonexistent"}},
		{"n1", map[string]string{"PBS_JOBID": "a/b"}, []string{"problem: job id"}},
		{"n1", map[string]string{"SLURM_JOB_ID": "8", "SLURM_JOB_NODELIST": "n[1-4]"}, []string{"ok: Slurm job 8 of 4 hosts, this one"}},
		{"login", map[string]string{"SLURM_JOB_ID": "8", "SLURM_JOB_NODELIST": "n[1-4]"}, []string{"warning: (n1, n2, n3 and 1 more), and this host, login"}},
		{"n1", map[string]string{"SLURM_JOB_ID": "8"}, []string{"warning: SLURM_JOB_NODELIST of Slurm's job 8: it is not set"}},
		{"n1", map[string]string{"SLURM_JOB_ID": "8", "PBS_JOBID": "7", "PBS_NODEFILE": hosts}, []string{"ok: PBS job 7", "warning: both PBS_JOBID=7 and SLURM_JOB_ID=8"}},
	} {
		d := Doctor{Finder: Finder{Host: c.host}, Getenv: func(name string) string { return c.env[name] }}
		expect(t, fmt.Sprint(c.env), d.CheckScheduler(), c.want...)
	}
}

func TestCheckNode(t *testing.T) {
	for _, c := range []struct {
		allowed, online, service string
		procs                    int
		want                     []string
	}{
		{"0-3,8", "0-15", "", 5, []string{"ok: 5 of 16 cores may be used here: 0-3,8"}},
		{"0-15", "0-15", "", 4, []string{"ok: 16 of 16 cores may be used here: 0-15; 4 at once, by a control group"}},
		{"3", "0-3", "", 1, []string{"warning: 1 of 4 cores"}},
		{"0-3", "0-3", "2,3", 4, []string{"ok: 4 of 4", "ok: service cores 2,3"}},
		{"0-1", "0-3", "2-3", 2, []string{"ok: 2 of 4", "warning: may not use: 2, 3"}},
		{"0-3", "0-3", "48,49", 4, []string{"ok: 4 of 4", "problem: not there: 48, 49 => name cores that this node has: 0-3"}},
		{"0-3", "0-3", "first", 4, []string{"ok: 4 of 4", `problem: "first" is not a list`}},
		{"0-3", "0-3", "3-1", 4, []string{"ok: 4 of 4", `problem: not a list`}},
		{"0-3", "0-3", "0-99999999", 4, []string{"ok: 4 of 4", `problem: not a list`}},
		{"", "0-3", "", 4, []string{"warning: can't be told"}},
	} {
		expect(t, fmt.Sprintf("cores %+v", c), cores(c.allowed, c.online, c.service, c.procs), c.want...)
	}
	const gib = 1 << 30
	for _, c := range []struct {
		node, limit, standard int64
		asked, want           string
	}{
		{512 * gib, 0, 16 * gib, "", "ok: 512.0 GiB; the daemon's budget is 16.0 GiB"},
		{512 * gib, 8 * gib, gib, "", "ok: 512.0 GiB, of which a control group lets this process have 8.0 GiB; the daemon's budget is 1.0 GiB"},
		{512 * gib, 0, 16 * gib, "4GiB", "ok: COPPER_MEMORY gives each daemon a budget of 4.0 GiB"},
		{8 * gib, 0, gib, "6GiB", "warning: 6.0 GiB, which is more than half"},
		{512 * gib, gib / 4, gib / 4, "", "warning: more than half"},
		{8 * gib, 0, gib, "much", `problem: COPPER_MEMORY: "much" is not a size`},
	} {
		expect(t, fmt.Sprintf("memory %+v", c), memory(c.node, c.limit, c.standard, c.asked), c.want)
	}
	expect(t, "files", files(4096), "ok: 4096")
	expect(t, "few files", files(256), "warning: 256 files, which is few => raise it")
	here := NewDoctor("", Finder{}, "tcp", Fabric{})
	for what, f := range map[string][]Finding{"cores": here.CheckCores(), "memory": here.CheckMemory(), "files": here.CheckFiles()} {
		if len(f) == 0 || f[0].Level == Problem {
			t.Errorf("%s of this machine: %+v", what, f)
		}
	}
}

func TestCheckPlaces(t *testing.T) {
	dir := shortDir(t)
	file, open := filepath.Join(dir, "file"), filepath.Join(dir, "open")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o755)); err != nil {
		t.Fatal(err)
	}
	expect(t, "outputs", []Finding{outputs(dir), outputs(dir + "/a/b"), outputs(file), outputs(file + "/a")},
		"ok: outputs go to "+dir, "ok: "+dir+"/a/b, which will be made", "problem: is not a directory => choose another directory with -d", "problem: not a directory")
	expect(t, "control", []Finding{control([]string{dir}), control([]string{dir + "/new"}), control([]string{open, dir}), control([]string{open, file})},
		"ok: "+dir, "ok: "+dir+"/new", "warning: mode 0755, not 0700; control sockets lie in "+dir, "problem: mode 0755")
	if got, _ := filepath.Glob(dir + "/*"); len(got) != 2 {
		t.Errorf("checking made something: %q", got)
	}
}

func TestMountFindings(t *testing.T) {
	cmd := fakeServe(t, "7")
	pid := cmd.Process.Pid
	alive := &Footprint{Job: "7", Rank: 1, PID: pid, Born: readProcess(pid).born, Mount: "/m", Dir: "/d/7"}
	killed := &Footprint{Job: "7", Rank: 1, PID: 1 << 22, Mount: "/m"}
	hung := fmt.Errorf("/m %w within 5s", errHung)
	one := func(stacked int, owner *Footprint, said error) []Finding {
		return []Finding{Doctor{Finder: Finder{Base: "/d"}}.judgeMount("/m", stacked, owner, said)}
	}
	expect(t, "healthy", one(1, alive, nil), "ok: /m, rank 1 of job 7, answers")
	expect(t, "of nobody known", one(1, nil, nil), "ok: /m answers")
	expect(t, "stacked", one(3, alive, nil), "warning: 3 mounts, one over the other")
	expect(t, "dead", one(1, killed, ErrDead), "problem: /m, rank 1 of job 7, is dead: whoever looks there meets an error => take it away: fusermount3 -u -z -- /m")
	expect(t, "dead, of nobody known", one(1, nil, ErrDead), "problem: /m is dead")
	expect(t, "being started again", one(1, alive, ErrDead), "warning: is being started again")
	expect(t, "hung", one(1, alive, hung), "problem: does not answer, though its daemon runs => wait for the file system behind it")
	expect(t, "hung, of nobody known", one(1, nil, hung), "problem: does not answer, and its daemon can't be told")
	expect(t, "failing", one(1, alive, errors.New("EIO")), "problem: EIO")
	alive.Dir = "/elsewhere/7"
	expect(t, "of another directory", one(1, alive, hung), "problem: or end it: copper stop --job 7 -d /elsewhere")
	alive.Dir = "/d/7"
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Signal(syscall.SIGCONT) }()
	if !await(t.Context(), killBound, func() bool { p := readProcess(pid); return p != nil && p.state == 'T' }) {
		t.Fatal("a process was not stopped")
	}
	expect(t, "stopped", one(1, alive, hung),
		fmt.Sprintf("problem: /m, rank 1 of job 7, does not answer: its process %d is stopped => let it go on (kill -CONT %[1]d), or end it: copper stop --job 7", pid))
}

func TestCheckLeftovers(t *testing.T) {
	h := newHouse(t)
	d := Doctor{Finder: h.Finder, Mounts: noMounts}
	wellOr := func(f []Finding) []Finding { // this machine's other daemons are none of this test's
		var own []Finding
		for _, x := range f {
			if x.Level == Fine || !strings.Contains(x.Found, "have no mount here") {
				own = append(own, x)
			}
		}
		return own
	}
	f := &Footprint{Job: "7", Rank: 2, PID: 1 << 22, Mount: "/m"}
	if err := f.Write(h.Bases); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(h.Bases[0], "8")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	expect(t, "killed", wellOr(d.CheckLeftovers()), "warning: rank 2 of job 7 was killed and left "+f.Path()+" => the next copper launch takes it away",
		"warning: "+empty+" is a control directory of no daemon")
	d.Mounts.Type = func(string) (string, error) { return FSType, nil } // the mounts' check tells of that one
	expect(t, "with its mount", wellOr(d.CheckLeftovers()), "warning: "+empty)
	f.Remove()
	if err := os.Remove(empty); err != nil {
		t.Fatal(err)
	}
	if got := wellOr(d.CheckLeftovers()); len(got) > 0 && got[0].Level != Fine {
		t.Errorf("%+v", got)
	}
}

func TestCheckJob(t *testing.T) {
	h := newHouse(t)
	d := Doctor{Finder: h.Finder}
	expect(t, "none", d.CheckJob(t.Context()), "ok: no Copper job is running")
	job, _ := running(t, h, true)
	expect(t, "one", d.CheckJob(t.Context()), "ok: job 7 is ready: 1 of 1 nodes answer")
	d.Finder.Host = "login"
	expect(t, "elsewhere", d.CheckJob(t.Context()), "ok: job 7 runs on n1 and not on this host: run copper doctor there")
	if err := os.WriteFile(job.Dir.stateFile(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Finder.ID = "7"
	expect(t, "damaged", d.CheckJob(t.Context()), "problem: job.json")
}

// TestCheckJobThatHangs: a job whose daemon does not listen is told with what keeps it from that.
func TestCheckJobThatHangs(t *testing.T) {
	h := newHouse(t)
	job, _ := running(t, h, false)
	pid := job.State.Ranks[0].PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	await(t.Context(), killBound, func() bool { p := readProcess(pid); return p != nil && p.state == 'T' })
	expect(t, "stopped", Doctor{Finder: h.Finder}.CheckJob(t.Context()),
		fmt.Sprintf("problem: rank 0 of job 7: process %d is stopped => kill -CONT %[1]d", pid), "problem: job 7: no daemon of it answers")
}

func TestHealth(t *testing.T) {
	at := time.Date(2026, 11, 21, 13, 0, 0, 0, time.Local)
	lacks := KernelFeature{Name: "no-opendir", Without: "opening a directory is a request"}
	n, m := nodeStatus(0), nodeStatus(1)
	n.Restarts, m.Restarts = 0, 2
	n.SuspectPeers = []SuspectPeer{{2, "n3", at}}
	n.Memory, n.Evictions = MemoryStatus{Limit: 100 << 20, Used: 99 << 20}, 5
	m.Evictions = 5 // but there is room now
	n.Kernel.Features, m.Kernel.Features = []KernelFeature{lacks, {Name: "x", Have: true}}, []KernelFeature{lacks}
	s := statusOf(t, &Job{Dir: "/d/7", State: State{ID: "7", Phase: Ready, Ranks: []Rank{{Rank: 2, Host: "n3"}}}},
		[]NodeStatus{n, m}, MissingRank{2, "it is silent"})
	expect(t, "a sick job", s.health(),
		"problem: job 7 is ready: 2 of 3 nodes answer; 2 questions went on to another node, 10 were hedged, 4 went to the PFS directly; not rank 2 on n3 (it is silent) => the others go on without it; its log is in /d/7/logs",
		"warning: rank 2 on n3 has given no answer to rank 0 on n1 since 2026-11-21 13:00:00",
		"warning: started again: rank 1 on n1 2 times",
		"warning: the memory budget is full, so that some things are asked for again: rank 0 on n1 => if nodes have memory to spare, start with --memory of more than 100.0 MiB",
		"warning: the kernel of n1 lacks no-opendir: opening a directory is a request => nothing is wrong, but some things are slower; a later Linux has it")
}

func TestCheckFusermount(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "fusermount3")
	if err := os.WriteFile(plain, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	missing := errors.New("fusermount3 is not in PATH")
	user, root := Doctor{}, Doctor{Root: true}
	expect(t, "missing", user.CheckFusermount("", missing), "problem: is not in PATH => ask for the package fuse3")
	expect(t, "missing for root", root.CheckFusermount("", missing), "ok: root mounts without it")
	expect(t, "root", root.CheckFusermount(plain, nil), "ok: root mounts without it")
	expect(t, "not setuid", user.CheckFusermount(plain, nil), "problem: is not setuid root (-rwxr-xr-x)")
	expect(t, "gone", user.CheckFusermount(plain+"x", nil), "problem: no such file")
	if os.Geteuid() == 0 {
		if err := os.Chmod(plain, 0o755|os.ModeSetuid); err != nil {
			t.Fatal(err)
		}
		expect(t, "setuid", user.CheckFusermount(plain, nil), "ok: is setuid root")
	}
}

func TestCheckTrial(t *testing.T) {
	k := KernelStatus{Release: "5.14", Protocol: "7.34", Request: 1 << 20, Readahead: 128 << 10, Features: []KernelFeature{{Name: "a", Have: true}}}
	expect(t, "works", Doctor{}.CheckTrial(k, nil), "ok: Linux 5.14, FUSE 7.34; a trial mount works: READs of up to 1.0 MiB, readahead of 128.0 KiB")
	k.Features = append(k.Features, KernelFeature{Name: "b", Without: "much is slow"})
	expect(t, "an old kernel", Doctor{}.CheckTrial(k, nil), "ok: works", "warning: this kernel lacks b: much is slow => nothing is wrong, but some things are slower; a later Linux has it")
	expect(t, "fails", Doctor{}.CheckTrial(k, errors.New("operation not permitted")), "problem: a trial mount failed: operation not permitted")
	expect(t, "hangs", Doctor{}.CheckTrial(k, os.ErrDeadlineExceeded), "problem: did not answer in time")
}

func TestCheckPath(t *testing.T) {
	nodev := readNodev()
	if !nodev["proc"] || nodev["ext4"] {
		t.Errorf("types without a device: %v", nodev)
	}
	for fstype, want := range map[string]string{
		"lustre": "ok: Lustre: worth", "gpfs": "ok: GPFS", "nfs4": "ok: NFS", "fuse.dfuse": "ok: DAOS", "fuse.slow": "ok: FUSE file system (fuse.slow)",
		"tmpfs": "warning: this node's memory", "ext4": "warning: disk of this node", "xfs": "warning: disk of this node",
		"overlay": "warning: image", "proc": "problem: not served", "": "warning: can't be told",
	} {
		expect(t, fstype, []Finding{judgeType("/x", fstype, nodev)}, want)
	}
	table := []*mountinfo.Info{{Mountpoint: "/", FSType: "ext4"}, {Mountpoint: "/m", FSType: "nfs"}, {Mountpoint: "/m", FSType: FSType}, {Mountpoint: "/m2", FSType: "tmpfs"}}
	for path, want := range map[string]string{"/": "ext4", "/m": FSType, "/m/x": FSType, "/m2": "tmpfs", "/m3": "ext4", "/a/m": "ext4"} {
		if got := coveredBy(table, path).FSType; got != want {
			t.Errorf("%s lies on %s, want %s", path, got, want)
		}
	}
	expect(t, "within", []Finding{insideCopper("/m/lus/x", mountinfo.Info{Mountpoint: "/m", FSType: FSType})}, "problem: already => name the path without the mount: /lus/x")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	expect(t, "readable", []Finding{readable(dir, now), readable(dir, now.Add(-time.Hour)), readable(dir+"/f", now), readable(dir+"/none", now)},
		"ok: can be read", "warning: 1h0m0s in the future: the clocks differ", "ok: can be read", "problem: no such file")
	expect(t, "missing", Doctor{}.CheckPath(dir+"/none"), "problem: does not exist")
	expect(t, "pseudo", Doctor{}.CheckPath("/proc/self"), "problem: not served")
	if f := (Doctor{}).CheckPath(dir); len(f) < 2 || f[1].Level != Fine {
		t.Errorf("%+v", f)
	}
}
