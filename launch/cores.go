package launch

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Cores are the cores of a node that a daemon may use, its service cores; the zero Cores are all.
type Cores struct{ list []int } // ascending, each once

// UnmarshalText reads a list such as 48,49,50,51 or 48-51; none and nothing are the zero Cores.
func (c *Cores) UnmarshalText(text []byte) error {
	c.list = nil
	if s := strings.TrimSpace(string(text)); s == "" || s == "none" {
		return nil
	}
	named, err := parseCores(string(text))
	if err != nil {
		return fmt.Errorf("%w such as 48,49 or 48-51", err)
	}
	for core := range named {
		c.list = append(c.list, core)
	}
	slices.Sort(c.list)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (c Cores) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// String is the list with its ranges, or none.
func (c Cores) String() string {
	if len(c.list) == 0 {
		return "none"
	}
	return coreList(c.list)
}

// coreList writes ascending cores as the kernel does: 0-3,8.
func coreList(cores []int) string {
	var parts []string
	for i := 0; i < len(cores); {
		j := i
		for j+1 < len(cores) && cores[j+1] == cores[j]+1 {
			j++
		}
		part := strconv.Itoa(cores[i])
		if j > i {
			part += "-" + strconv.Itoa(cores[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}

// All tells that no cores were named.
func (c Cores) All() bool { return len(c.list) == 0 }

// Check reports which of the cores this process may not use. It changes nothing.
func (c Cores) Check() error {
	if c.All() {
		return nil
	}
	return c.tryThread()
}

// tryThread binds a thread to the cores and gives it back those that it had.
func (c Cores) tryThread() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	had := unix.NewCPUSet(mostCores)
	if err := unix.SchedGetaffinityDynamic(0, had); err != nil {
		return fmt.Errorf("service cores %v: %w", c, err)
	}
	return errors.Join(c.bindThread(0), unix.SchedSetaffinityDynamic(0, had))
}

// Bind keeps this process, all of its threads and the processes that it starts on the cores, and has
// Go run as many threads at once.
func (c Cores) Bind() error {
	if c.All() {
		return nil
	}
	// A thread is born with the cores of the one that makes it. When all are found bound, none is left that
	// could make an unbound one.
	for bound := map[int]bool{}; ; {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		fresh := false
		for _, e := range entries {
			thread, err := strconv.Atoi(e.Name())
			if err != nil || bound[thread] {
				continue
			}
			if err := c.bindThread(thread); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
			bound[thread], fresh = true, true
		}
		if !fresh {
			break
		}
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.SetDefaultGOMAXPROCS()
	}
	return nil
}

// bindThread keeps one thread, 0 for the calling one, on the cores.
func (c Cores) bindThread(thread int) error {
	set := unix.NewCPUSet(mostCores)
	for _, core := range c.list {
		set.Set(core)
	}
	// The kernel drops what the process may not use, and fails if nothing is left.
	err := unix.SchedSetaffinityDynamic(thread, set)
	if errors.Is(err, unix.EINVAL) {
		return c.refused(c.list)
	}
	if err != nil {
		return fmt.Errorf("service cores %v: %w", c, err)
	}
	set.Zero()
	if err := unix.SchedGetaffinityDynamic(thread, set); err != nil {
		return fmt.Errorf("service cores %v: %w", c, err)
	}
	if missing := slices.DeleteFunc(slices.Clone(c.list), set.IsSet); len(missing) > 0 {
		return c.refused(missing)
	}
	return nil
}

// refused tells why the process may not use the missing ones.
func (c Cores) refused(missing []int) error {
	online, _ := os.ReadFile("/sys/devices/system/cpu/online")
	there, err := parseCores(strings.TrimSpace(string(online)))
	absent := slices.DeleteFunc(slices.Clone(missing), func(core int) bool { return err != nil || there[core] })
	if len(absent) > 0 {
		return BadInput("service cores %v: this node has no %s, only %s: choose others with -b", c, namedCores(absent), strings.TrimSpace(string(online)))
	}
	return BadInput("service cores %v: %s is not for this job step to use: choose others with -b", c, namedCores(missing))
}

func namedCores(cores []int) string {
	if len(cores) == 1 {
		return "core " + coreList(cores)
	}
	return "cores " + coreList(cores)
}
