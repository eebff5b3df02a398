package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/copper-hpc/copper/fuse"
	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/store"
)

// trialBound is for a trial mount to be made, to answer and to be taken away.
const trialBound = 10 * time.Second

// checkDevice tells whether FUSE's device can be used.
func checkDevice() []launch.Finding {
	var setup *fuse.SetupError
	err := fuse.CheckDevice()
	if !errors.As(err, &setup) || setup.Path != "/dev/fuse" { // what else is missing, other checks tell
		return []launch.Finding{{Level: launch.Fine, Found: "/dev/fuse can be opened"}}
	}
	advice := "ask the administrators: modprobe fuse; a container needs --device /dev/fuse"
	if errors.Is(err, fuse.ErrDeviceRefused) {
		advice = "ask the administrators: chmod 0666 /dev/fuse"
	}
	return []launch.Finding{{Level: launch.Problem, Found: err.Error(), Advice: advice}}
}

// checkKernel makes a trial mount, in a child that can be killed, and takes away what it leaves.
func checkKernel(ctx context.Context, d launch.Doctor) []launch.Finding {
	k := launch.KernelStatus{Release: release()}
	if err := fuse.CheckDevice(); err != nil {
		return []launch.Finding{{Level: launch.Fine, Found: fmt.Sprintf("Linux %s; no trial mount, for what is missing above", k.Release)}}
	}
	dir, err := os.MkdirTemp(filepath.Dir(launch.Trial), filepath.Base(launch.Trial))
	if err != nil {
		return d.CheckTrial(k, err)
	}
	point, target := filepath.Join(dir, "mnt"), filepath.Join(dir, "target")
	defer func() {
		_ = launch.DropMount(context.Background(), point)
		for _, made := range []string{point, target, dir} {
			_ = os.Remove(made) // not what is in it: that may be a mount still
		}
	}()
	for _, made := range []string{point, target} {
		if err := os.Mkdir(made, 0o700); err != nil {
			return d.CheckTrial(k, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, trialBound)
	defer cancel()
	cmd := exec.Command(d.Program, "trial", "--", point, target)
	// What a terminal sends to the others must not keep it from taking the mount away.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := launch.BoundedOutput(ctx, cmd)
	if errors.Is(err, context.DeadlineExceeded) {
		err = os.ErrDeadlineExceeded
	}
	if err == nil {
		err = json.Unmarshal(out, &k)
	}
	return d.CheckTrial(k, err)
}

// trialCmd shows an empty directory for a moment.
type trialCmd struct {
	Mount  string `arg:"" help:"Mount point."`
	Target string `arg:"" help:"Directory that it shows."`
}

func (c *trialCmd) Run() error {
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	program, err := os.Executable()
	if err != nil {
		return err
	}
	memory, err := store.NewMemory(store.MinMemory)
	if err != nil {
		return err
	}
	origin, err := store.NewOrigin(c.Target, memory, store.OriginOptions{})
	if err != nil {
		return err
	}
	m, err := fuse.New(fuse.Options{Mountpoint: c.Mount, Source: origin, StatFS: origin.StatFS, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), trialBound/2)
	defer cancel()
	err = launch.Probe(ctx, program, m.Dir(), true)
	k := kernelOf(m)
	if err = errors.Join(err, m.Unmount()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(k)
}

// release is the version of this Linux.
func release() string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	return unix.ByteSliceToString(u.Release[:])
}

// kernelOf is what m and the kernel agreed upon.
func kernelOf(m *fuse.Mount) launch.KernelStatus {
	k := m.Kernel()
	s := launch.KernelStatus{Release: release(), Protocol: k.Protocol, Request: k.Request, Readahead: k.Readahead}
	for _, f := range k.Features {
		s.Features = append(s.Features, launch.KernelFeature(f))
	}
	return s
}
