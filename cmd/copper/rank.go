package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/copper-hpc/copper/fuse"
	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/mpiboot"
	"github.com/copper-hpc/copper/overlay"
)

// rank is the launcher's child: it takes part in the bootstrap, keeps what must survive a daemon, and
// supervises that.
type rank struct {
	options *options
	boot    *mpiboot.Boot
	began   time.Time

	state   launch.State // rank 0 writes it
	dir     launch.JobDir
	log     *slog.Logger // nil until the job's directory is known
	logFile io.Closer

	addresses  *launch.Addresses
	places     overlay.Places // where the daemons listen, one after the other; until the ranks have met, where they can
	listeners  []*os.File     // for the first daemon; nil from then on
	footprint  *launch.Footprint
	beneath    *os.File // the directory of the mount point, whatever is mounted there
	supervisor *launch.Supervisor
}

// protocol is what all ranks must agree on beside the overlay's own protocol.
const protocol = 1

// start takes part in the bootstrap and returns when every rank's mount answers, or with the error
// of whichever rank failed.
func (r *rank) start(ctx context.Context) error {
	if err := r.prepare(); err != nil {
		return r.boot.Ready(announced(err))
	}
	interfaces, err := launch.Interfaces()
	if err != nil {
		return r.boot.Ready(err)
	}
	roster, err := r.boot.Exchange(mpiboot.Card{
		Endpoints: r.places.Endpoints(), Version: protocol, Mount: r.fill(r.options.Mount), Interfaces: interfaces,
		Note: r.addressNote(),
	})
	if err != nil {
		return err
	}
	r.state.Reach(launch.Connected, time.Now())
	if err = r.meet(roster); err == nil {
		err = r.supervise(ctx, roster)
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w during the start", context.Cause(ctx))
	}
	if ready := r.boot.Ready(announced(err)); ready != nil {
		return ready
	}
	r.log.Info("every mount answers", "nodes", len(roster.Cards), "took", time.Since(r.began))
	r.state.Reach(launch.AllMounted, r.boot.Agreed())
	err = r.note(launch.Ready)
	debug.FreeOSMemory() // what the bootstrap needed; little is left to be done
	return err
}

// fill replaces the placeholders of a mount point or target.
func (r *rank) fill(template string) string {
	return launch.Fill(template, r.boot.Rank(), r.boot.Host())
}

// prepare does what needs no other rank.
func (r *rank) prepare() error {
	r.state = launch.State{ID: r.options.id(), Started: r.began,
		Build: thisBuild().String(), Command: launch.Command{Args: os.Args}.String(), Ranks: []launch.Rank{{Host: r.boot.Host(), PID: os.Getpid()}}}
	if r.boot.Rank() == 0 {
		if err := r.claimJob(); err != nil {
			r.state.ID = "" // its files are not ours
			return err
		}
	}
	if err := checkPlace(r.options, r.boot.Rank(), r.boot.Host()); err != nil {
		return err
	}
	var err error
	addressing := r.options.addressing()
	if r.boot.Size() > 1 { // else nobody has to come
		addressing.Fabric.Trial = tryEndpoint
	}
	if r.addresses, err = addressing.On(r.boot.Host()); err != nil {
		return err
	}
	if r.places, err = overlay.ReserveAll(r.addresses.Endpoints); err != nil {
		return &launch.InputError{Err: err}
	}
	if instead, err := overlay.ReserveAll(r.addresses.Instead); err == nil { // else this host has no TCP to fall back on, and needs none yet
		r.places = append(r.places, instead...)
	}
	// Now, so that the daemons of other ranks find it when they start sooner than this one's.
	if r.listeners, err = r.places.Listen(); err != nil {
		return &launch.InputError{Err: err}
	}
	return nil
}

// claimJob makes the job's directory and its state file, unless a running job has them.
func (r *rank) claimJob() error {
	if r.state.ID == "" {
		r.state.ID = launch.RankID(r.boot.Host(), os.Getpid())
	}
	finder, err := r.options.finder()
	if err != nil {
		return err
	}
	finder.ID = r.state.ID
	if job, err := finder.Find(); err == nil {
		return launch.BadInput("job %s is running already (%s): copper stop ends it", finder.ID, job.Dir)
	}
	r.dir = launch.JobDirOf(r.options.Dir, r.state.ID)
	if err := r.dir.Make(); err != nil {
		return err
	}
	if err := r.dir.ForgetStop(); err != nil {
		return err
	}
	return r.note(launch.Starting)
}

// note puts the job into a phase, now, and writes its state, if that is this rank's task.
func (r *rank) note(phase launch.Phase) error {
	r.state.Reach(phase, time.Now())
	return r.writeState()
}

func (r *rank) writeState() error {
	if r.boot.Rank() != 0 || r.state.ID == "" {
		return nil
	}
	return r.dir.WriteState(r.state)
}

// supervise starts the daemon once every rank is known. An error that all ranks can see in the
// roster is reported by one of them, and then the others do nothing.
func (r *rank) supervise(ctx context.Context, roster *mpiboot.Roster) error {
	r.state.Ranks = ranksOf(roster)
	if clash, err := launch.SharedMount(r.state.Ranks); err != nil {
		if clash != roster.Self {
			return nil
		}
		return err
	}
	if r.state.ID == "" {
		r.state.ID = launch.RankID(roster.Cards[0].Host, roster.Cards[0].PID)
	}
	r.dir = launch.JobDirOf(r.options.Dir, r.state.ID)
	path := r.dir.RankLog(r.boot.Host(), os.Getpid())
	r.log, r.logFile = launch.NewLog(r.options.logLevel(roster), r.options.LogTo, path, os.Stdout)
	r.log.Info("starting", "rank", roster.Self, "of", len(roster.Cards), "endpoints", roster.Cards[roster.Self].Endpoints, "target", r.fill(r.options.Target))
	if roster.Self == 0 {
		if err := r.dir.WriteNodeFile(hostsOf(roster)); err != nil {
			return err
		}
		if err := r.writeAddressBook(roster); err != nil {
			return err
		}
	}
	forget(roster)
	if err := r.writeState(); err != nil {
		return err
	}
	here := r.state.On(r.boot.Host())
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if err := r.claimMountpoint(program, here, roster.Self); err != nil {
		return err
	}
	orders := charge{
		Options: *r.options, Roster: roster, Secret: roster.Secret[:], Dir: r.dir, Log: path,
		Target: r.fill(r.options.Target), Footprint: r.footprint.Path(), Sharers: len(here), Began: r.began,
	}
	r.supervisor = &launch.Supervisor{
		Program: "/proc/self/exe", // this very binary, even if another one is installed meanwhile
		Args: []string{os.Args[0], "daemon", "--job", r.state.ID, "--rank", strconv.Itoa(roster.Self),
			"--mount", r.footprint.Mount},
		Charge:   func(restarts int) any { orders.Restarts = restarts; return orders },
		Listen:   r.listen,
		Beneath:  r.beneath,
		Started:  r.noteDaemon,
		Abort:    func() { launch.AbortMount(r.footprint.Mount) },
		Drop:     func() error { return launch.DropMount(context.Background(), r.footprint.Mount) },
		Stopping: r.dir.Stopping, Timeout: r.options.Timeout, Hung: r.options.hung(), Policy: launch.DefaultRestartPolicy,
		Log: r.log, Stderr: os.Stderr,
	}
	if err := r.supervisor.Start(ctx); err != nil {
		return err
	}
	return r.note(launch.Mounted)
}

// listen makes the next daemon's listening sockets.
func (r *rank) listen() ([]*os.File, error) {
	if first := r.listeners; first != nil {
		r.listeners = nil
		return first, nil
	}
	return r.places.Listen()
}

func (r *rank) noteDaemon(pid int) {
	if err := r.footprint.NoteDaemon(pid); err != nil {
		r.log.Warn("the daemon's process id was not noted", "error", err)
	}
}

func ranksOf(roster *mpiboot.Roster) []launch.Rank {
	ranks := make([]launch.Rank, len(roster.Cards))
	for i, c := range roster.Cards {
		ranks[i] = launch.Rank{Rank: c.Rank, Host: c.Host, PID: c.PID, Mount: c.Mount}
	}
	launch.FillMounts(ranks)
	return ranks
}

func hostsOf(roster *mpiboot.Roster) []string {
	hosts := make([]string, len(roster.Cards))
	for i, c := range roster.Cards {
		hosts[i] = c.Host
	}
	return hosts
}

// claimMountpoint makes the mount point free and existing. The first rank of the node also removes
// what killed jobs left elsewhere on it.
func (r *rank) claimMountpoint(program string, here []launch.Rank, self int) (err error) {
	bases, mounts := launch.ControlBases(), launch.NodeMounts(program)
	var point string
	var points []string
	for _, h := range here {
		points = append(points, h.Mount)
		if h.Rank == self {
			point = h.Mount
		}
	}
	if here[0].Rank == self {
		for _, line := range launch.CleanNode(context.Background(), bases, "", mounts, points...) {
			r.log.Info(line)
		}
	}
	switch did, err := mounts.ClearMountpoint(context.Background(), bases, point); {
	case err != nil:
		return err
	case did:
		r.log.Info("a killed daemon's mount was taken away", "mount", point)
	}
	footprint := launch.NewFootprint(r.dir, self)
	footprint.Mount, footprint.Made = point, launch.MissingDirs(point)
	if err := footprint.Write(bases); err != nil {
		return err
	}
	r.footprint = footprint
	if err := launch.MakeDirs(footprint.Made); err != nil {
		return err
	}
	if err := launch.CheckUserDir(point); err != nil {
		return err
	}
	if r.beneath, err = launch.OpenMountpoint(point); err != nil {
		return err
	}
	if err := fuse.CheckMountpoint(point); err != nil {
		return &launch.InputError{Err: err}
	}
	return nil
}

// run returns when this rank's part in the job has ended.
func (r *rank) run(ctx context.Context) error {
	err := r.supervisor.Run(ctx)
	if ctx.Err() != nil {
		r.log.Info("ending", "cause", context.Cause(ctx).Error())
	}
	r.takeDown()
	if err != nil {
		// The others go on, if the launcher lets them: it must not see a failure.
		r.log.Log(context.Background(), launch.LevelFatal, err.Error())
		fmt.Fprintf(os.Stderr, "copper: rank %d on %s: %v; the other nodes go on without it\n", r.boot.Rank(), r.boot.Host(), err)
		return nil
	}
	return r.note(launch.Stopped)
}

// takeDown ends what was started, in the opposite order.
func (r *rank) takeDown() {
	var left error
	if r.supervisor != nil {
		if left = r.supervisor.End(); left != nil {
			r.log.Error("the mount is left", "error", left) // and so is the footprint, for others to do it
		}
	}
	if r.footprint != nil && left == nil {
		r.footprint.Remove()
	}
	if r.beneath != nil {
		r.beneath.Close()
	}
	for _, l := range r.listeners {
		_ = l.Close()
	}
	_ = r.places.Close()
}

// failed writes down why the job did not become ready, and returns that.
func (r *rank) failed(err error) error {
	err = heard(err)
	r.state.Error, r.state.BadInput = err.Error(), launch.ExitCode(err) == launch.ExitBadInput
	if r.log != nil {
		r.log.Log(context.Background(), launch.LevelFatal, err.Error())
	}
	return errors.Join(err, r.note(launch.Failed))
}

func (r *rank) closeLog() {
	if r.logFile != nil {
		_ = r.logFile.Close()
	}
}
