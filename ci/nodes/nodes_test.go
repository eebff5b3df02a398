package nodes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// sleeper is set in the environment of a test process that makes a network and waits to be killed.
const sleeper = "COPPER_NODES_SLEEPER"

func TestMain(m *testing.M) {
	if os.Getenv(sleeper) != "" {
		n, err := Up(2)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		if err := n.Hosts()[1].Command(context.Background(), "sleep", "1000").Start(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(n.Dir())
		select {}
	}
	goleak.VerifyTestMain(m)
}

// need skips the test where networks can't be made; it fails it if COPPER_REQUIRE_NODES=1.
func need(t *testing.T) {
	t.Helper()
	err := Check()
	if err != nil && os.Getenv("COPPER_REQUIRE_NODES") == "1" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
}

// up makes a network that is gone after the test.
func up(t *testing.T, n int, options ...Option) *Network {
	t.Helper()
	need(t)
	began := time.Now()
	net, err := Up(n, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d hosts are up after %v", n, time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() {
		if err := net.Down(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(net.Dir()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", net.Dir(), err)
		}
	})
	return net
}

func say(h *Host, script string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := h.Command(ctx, "bash", "-euc", script).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func expect(t *testing.T, h *Host, script, want string) {
	t.Helper()
	if got, err := say(h, script); err != nil || got != want {
		t.Errorf("%s: %s: %q, %v; want %q", h.Name(), script, got, err, want)
	}
}

// TestHosts: what is a host's own, what is shared, who reaches whom.
func TestHosts(t *testing.T) {
	namespacesBefore, mountsBefore := ownState(t)
	n := up(t, 3)
	a, b := n.Hosts()[0], n.Hosts()[2]
	for _, h := range append([]*Host{n.Front()}, n.Hosts()...) {
		expect(t, h, "hostname", h.Name())
		expect(t, h, "getent hosts "+h.Name()+" | awk '{print $1}'", h.Addr())
		expect(t, h, "ls -A /tmp /dev/shm", "/dev/shm:\n\n/tmp:")
		expect(t, h, "echo $PPID; head -c 0 /dev/fuse; test -d /sys/class/net/eth0", "0")
	}
	if _, err := say(a, "echo mine >/tmp/file; echo ours >"+n.Dir()+"/file"); err != nil {
		t.Fatal(err)
	}
	expect(t, b, "cat "+n.Dir()+"/file; ls /tmp", "ours")
	if _, err := os.Stat("/tmp/file"); err == nil {
		t.Error("a host's /tmp is the machine's")
	}
	agent := n.Agent()
	expect(t, n.Front(), agent+" -x n3 'hostname; cat; exit 0' <<<input", "n3\ninput")
	expect(t, a, agent+" -l root n2 'hostname >&2; exit 7' || echo $?", "n2\n7")
	expect(t, a, agent+" ctl true 2>/dev/null || echo $?", "255")

	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "shown"), []byte("seen"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := say(b, "cat "+dir+"/shown"); err == nil {
		t.Error("below /tmp, and seen before it was shown")
	}
	if err := n.Show(dir); err != nil {
		t.Fatal(err)
	}
	expect(t, b, "cat "+dir+"/shown; echo back >"+dir+"/written", "seen")
	if text, err := os.ReadFile(filepath.Join(dir, "written")); err != nil || string(text) != "back\n" {
		t.Errorf("%q, %v", text, err)
	}
	cmd := a.Command(context.Background(), "pwd")
	cmd.Dir = dir
	if out, err := cmd.Output(); err != nil || string(out) != dir+"\n" {
		t.Errorf("pwd: %q, %v", out, err)
	}
	if err := n.Down(); err != nil {
		t.Fatal(err)
	}
	namespacesAfter, mountsAfter := ownState(t)
	if namespacesAfter != namespacesBefore || mountsAfter != mountsBefore {
		t.Errorf("the machine's own namespaces were changed:\n%s\n%s\n%s\n%s", namespacesBefore, namespacesAfter, mountsBefore, mountsAfter)
	}
	if _, err := os.Stat(filepath.Join(dir, "shown")); err != nil {
		t.Error("what was shown is gone:", err)
	}
}

// ownState is the machine's namespaces, interfaces and mounts.
func ownState(t *testing.T) (namespaces, mounts string) {
	t.Helper()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	namespaces = host
	for _, i := range interfaces {
		namespaces += " " + i.Name
	}
	for _, ns := range []string{"net", "mnt", "uts", "pid", "ipc"} {
		link, _ := os.Readlink("/proc/self/ns/" + ns)
		namespaces += " " + link
	}
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(info)) {
		if strings.Contains(line, "copper-nodes") {
			mounts += line
		}
	}
	return namespaces, mounts
}

// TestCommandEnds: exit codes and signals pass through, and a killed command is gone.
func TestCommandEnds(t *testing.T) {
	h := up(t, 1).Hosts()[0]
	var exit *exec.ExitError
	if err := h.Command(context.Background(), "sh", "-c", "exit 7").Run(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("exit 7: %v", err)
	}
	if err := h.Command(context.Background(), "no-such-program").Run(); !errors.As(err, &exit) || exit.ExitCode() != 255 {
		t.Errorf("no program: %v", err)
	}
	cmd := h.Command(context.Background(), "sh", "-c", "trap 'exit 9' TERM; echo; while :; do sleep 0.01; done")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // the trap is set
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 9 {
		t.Errorf("SIGTERM: %v", err)
	}
	if err := h.Command(context.Background(), "sh", "-c", "kill -9 $$").Run(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("killed: %v", err)
	}
	sleep := h.Command(context.Background(), "sh", "-c", "exec sleep 1000")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	pid := awaitSleeper(t, h)
	if machine, err := h.MachinePID(pid); err != nil || machine <= pid {
		t.Errorf("process %d: %d, %v", pid, machine, err)
	}
	_ = sleep.Process.Kill()
	_ = sleep.Wait()
	await(t, "the command to be killed too", func() bool { return h.Command(context.Background(), "pgrep", "-x", "sleep").Run() != nil })
}

func awaitSleeper(t *testing.T, h *Host) (pid int) {
	t.Helper()
	await(t, "the command to run", func() bool {
		out, _ := h.Command(context.Background(), "pgrep", "-x", "sleep").Output()
		_, err := fmt.Sscan(string(out), &pid)
		return err == nil
	})
	return pid
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

// knock connects to what listens at the other host's port for commands.
func knock(from, to *Host) error {
	_, err := say(from, fmt.Sprintf("timeout 1 bash -c 'exec 3<>/dev/tcp/%s/%d'", to.Name(), rshPort))
	return err
}

// TestFaults: a host that is cut off is not reached until it is healed; one that crashed is gone with all
// its processes; the others do not notice.
func TestFaults(t *testing.T) {
	n := up(t, 3, WithInterfaces("hsn0", "hsn1"))
	a, b, c := n.Hosts()[0], n.Hosts()[1], n.Hosts()[2]
	expect(t, a, "ls /sys/class/net | tr '\\n' ' '", "hsn0 hsn1 lo")
	for _, address := range []string{b.Addr(), address(1, 2)} {
		expect(t, a, "exec 3<>/dev/tcp/"+address+"/514 && echo reached", "reached")
	}
	if err := b.Cut(); err != nil {
		t.Fatal(err)
	}
	if knock(a, b) == nil || knock(a, c) != nil {
		t.Error("n2 was cut off: it alone should not be reached")
	}
	if err := b.Heal(); err != nil {
		t.Fatal(err)
	}
	await(t, "the healed host", func() bool { return knock(a, b) == nil })
	if err := b.Command(context.Background(), "sleep", "1000").Start(); err != nil {
		t.Fatal(err)
	}
	machine, err := b.MachinePID(awaitSleeper(t, b))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(machine, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("a process of the crashed host: %v", err)
	}
	if _, err := say(b, "true"); err == nil {
		t.Error("a crashed host runs commands")
	}
	if err := knock(a, c); err != nil {
		t.Error(err)
	}
}

// TestSlow: bandwidth is bounded where the kernel can do that.
func TestSlow(t *testing.T) {
	n := up(t, 2)
	a, b := n.Hosts()[0], n.Hosts()[1]
	const bound, sent = 4 << 20, 2 << 20
	if err := b.Slow(0, bound); err != nil {
		t.Skip(err)
	}
	began := time.Now()
	expect(t, a, fmt.Sprintf("head -c %d /dev/zero | %s n2 wc -c", sent, n.Agent()), fmt.Sprint(sent))
	if took := time.Since(began); took < time.Second*sent/bound*3/4 {
		t.Errorf("%d bytes at %d a second took %v", sent, bound, took)
	}
	if err := b.Slow(0, 0); err != nil {
		t.Fatal(err)
	}
	if err := b.Slow(5*time.Millisecond, 0); err != nil && !errors.Is(err, ErrNoDelay) {
		t.Error(err)
	} else {
		t.Log("delay:", err)
	}
}

// TestKilled: a test process that is killed leaves no process and no directory.
func TestKilled(t *testing.T) {
	need(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), sleeper+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var dir string
	if _, err := fmt.Fscanln(out, &dir); err != nil || !strings.HasPrefix(dir, "/var/tmp/") {
		t.Fatalf("%q, %v", dir, err)
	}
	agent := filepath.Join(dir, agentName)
	if len(running(t, agent)) < 3 {
		t.Error("the first processes were not found")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	await(t, "everything to be gone", func() bool {
		_, err := os.Lstat(dir)
		return errors.Is(err, os.ErrNotExist) && len(running(t, agent)) == 0
	})
}

// running are the processes that run the program at path, removed or not.
func running(t *testing.T, path string) (pids []string) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if exe, err := os.Readlink(link); err == nil && strings.TrimSuffix(exe, " (deleted)") == path {
			pids = append(pids, link)
		}
	}
	return pids
}

// TestManyAtOnce: networks do not see each other.
func TestManyAtOnce(t *testing.T) {
	one, two := up(t, 1), up(t, 2)
	if knock(two.Hosts()[1], two.Hosts()[0]) != nil {
		t.Error("hosts of one network should reach each other")
	}
	expect(t, one.Hosts()[0], "timeout 0.3 bash -c 'exec 3<>/dev/tcp/10.77.0.2/514' || echo unreached", "unreached")
	if one.Dir() == two.Dir() {
		t.Error("one directory for both")
	}
}

// TestRefused: what can't be made is said.
func TestRefused(t *testing.T) {
	need(t)
	for _, hosts := range []int{0, -1, MaxHosts + 1} {
		if _, err := Up(hosts); err == nil {
			t.Errorf("%d hosts", hosts)
		}
	}
	if n, err := Up(1, WithInterfaces("a name that is far too long")); err == nil {
		_ = n.Down()
		t.Error("interface's name")
	}
}
