package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/store"
)

// options are those of the daemons: serve takes them, launch hands them on.
type options struct {
	jobOptions
	profileOptions
	prometheusOptions
	LogLevel int         `name:"log-level" short:"l" env:"COPPER_LOG_LEVEL" default:"4" placeholder:"N" help:"0 none, 1 fatal, 2 error, 3 warning, 4 info, 5 debug (${default})."`
	LogTo    string      `name:"log-to" short:"t" env:"COPPER_LOG_TO" default:"file" enum:"file,stdout,both" placeholder:"T" help:"Where the log goes: file, stdout or both (${default})."`
	Trees    int         `name:"trees" short:"T" env:"COPPER_TREES" default:"0" placeholder:"N" help:"Number of overlay trees; 0: automatic."`
	Fanout   int         `name:"fanout" env:"COPPER_FANOUT" default:"0" placeholder:"K" help:"Children of a node in a tree; 0: automatic."`
	Enoent   int         `name:"enoent-ms" short:"E" env:"COPPER_ENOENT_MS" default:"2000" placeholder:"MS" help:"Lifetime of a cached \"no such file\" in milliseconds (${default})."`
	Mount    string      `name:"mount" short:"v" env:"COPPER_MOUNT" type:"path" default:"" placeholder:"DIR" help:"Mount point; {rank} and {host} are replaced (/tmp/$$USER/copper, with -{rank} where ranks share a host)."`
	Target   string      `name:"target" env:"COPPER_TARGET" default:"/" type:"path" placeholder:"DIR" help:"Directory that the mount shows; {rank} and {host} are replaced (${default})."`
	Symlinks string      `name:"symlinks" env:"COPPER_SYMLINKS" default:"view" enum:"view,asis" placeholder:"S" help:"Absolute symbolic links to the file system that they are on: view (they lead below the mount) or asis (they lead out of it) (${default})."`
	Memory   launch.Size `name:"memory" env:"COPPER_MEMORY" placeholder:"SIZE" help:"Budget of a daemon for all that it caches, such as 64MiB (an eighth of the memory of the node, or of its control group, shared by the daemons there; 256 MiB to 16 GiB)."`
	Net      string      `name:"net" short:"n" env:"COPPER_NET" default:"tcp" placeholder:"NET" help:"Where to listen: tcp (all of hsn0, hsn1, …, or the host's first address), tcp://INTERFACE, tcp://ADDRESS[:PORT], or through libfabric a CXI device: cxi (cxi0), cxi0 … cxi7, cxi://cxi0; for trials of libfabric also ofi+tcp and ofi+net, like tcp (${default})."`
	addressOptions
	Cores    launch.Cores  `name:"cores" short:"b" env:"COPPER_CORES" placeholder:"LIST" help:"Cores that a daemon may use, such as 48,49 or 48-51; none: all that its job step may (${default})." default:"none"`
	Direct   launch.Size   `name:"direct-above" short:"M" env:"COPPER_DIRECT_ABOVE" default:"0" placeholder:"BYTES" help:"Each node reads files larger than this itself, not through the trees; 0: none (${default})."`
	Compress string        `name:"compress" env:"COPPER_COMPRESS" default:"auto" enum:"auto,off,s2,zstd" placeholder:"C" help:"How file data is compressed between nodes: auto (s2 or zstd where links are slow), off, s2 or zstd (${default})."`
	Allow    []string      `name:"allow" env:"COPPER_ALLOW" sep:":" default:"/" placeholder:"PREFIX" help:"Serve only this path of the view and what is below it; may be repeated, or written PREFIX:PREFIX (${default})."`
	Encrypt  bool          `name:"encrypt" env:"COPPER_ENCRYPT" help:"Encrypt what the nodes send each other (TLS 1.3); it costs four times the processor time per byte. Without it they authenticate each other, and what they send can be read on the network."`
	Timeout  time.Duration `name:"timeout" env:"COPPER_TIMEOUT" default:"5m" placeholder:"D" help:"Until every mount answers (${default})."`
	Hung     time.Duration `name:"hung" hidden:"" placeholder:"D" help:"Without a sign of life, after which a daemon is killed and another one started; for tests."`
}

// leastHung leaves a daemon some milliseconds for each sign of life.
const leastHung = 100 * time.Millisecond

// hung is how long a daemon may give no sign of life.
func (o *options) hung() time.Duration { return cmp.Or(o.Hung, launch.DefaultHung) }

// jobOptions say which job is meant.
type jobOptions struct {
	Dir string `name:"dir" short:"d" env:"COPPER_DIR" default:"~/copper-logs" type:"path" placeholder:"DIR" help:"Base directory of the jobs' outputs (${default})."`
	Job string `name:"job" env:"COPPER_JOB" placeholder:"ID" help:"Job id (the scheduler's, else the newest or a new one)."`
}

// Validate is called by kong; it checks what needs no look at the system.
func (o *options) Validate() error {
	if err := o.jobOptions.Validate(); err != nil {
		return err
	}
	if err := errors.Join(o.profileOptions.check(), o.prometheusOptions.check()); err != nil {
		return err
	}
	switch {
	case o.LogLevel < 0 || o.LogLevel > launch.MostLogLevel:
		return fmt.Errorf("--log-level=%d: want 0 to %d", o.LogLevel, launch.MostLogLevel)
	case o.Trees < 0:
		return fmt.Errorf("--trees=%d: want 0 or more", o.Trees)
	case o.Fanout < 0 || o.Fanout == 1:
		return fmt.Errorf("--fanout=%d: want 2 or more, or 0", o.Fanout)
	case o.Enoent < 0:
		return fmt.Errorf("--enoent-ms=%d: want 0 or more", o.Enoent)
	case o.Timeout <= 0:
		return fmt.Errorf("--timeout=%v: want more than 0", o.Timeout)
	case o.Hung != 0 && o.Hung < leastHung:
		return fmt.Errorf("--hung=%v: want at least %v", o.Hung, leastHung)
	case o.Memory != 0 && o.Memory < store.MinMemory:
		return fmt.Errorf("--memory=%v: want at least %s", o.Memory, launch.Bytes(store.MinMemory))
	}
	for _, prefix := range o.Allow {
		if err := store.CheckPrefix(prefix); err != nil {
			return fmt.Errorf("--allow: %w", err)
		}
	}
	return o.addressing().Check()
}

// Validate is called by kong.
func (o *jobOptions) Validate() error {
	if o.Job == "" {
		return nil
	}
	return launch.CheckID(o.Job)
}

// args is the command line that gives these options to another copper. Everything is said, so
// that no environment variable can say it otherwise.
func (o *options) args() []string {
	args := []string{
		"--job", o.Job, "--dir", o.Dir,
		"--log-level", strconv.Itoa(o.LogLevel), "--log-to", o.LogTo,
		"--trees", strconv.Itoa(o.Trees), "--fanout", strconv.Itoa(o.Fanout),
		"--cores", o.Cores.String(), "--direct-above", o.Direct.String(),
		"--enoent-ms", strconv.Itoa(o.Enoent), "--target", o.Target,
		"--compress", o.Compress, "--encrypt=" + strconv.FormatBool(o.Encrypt), "--symlinks", o.Symlinks,
		"--allow", strings.Join(o.Allow, ":"),
		"--net", o.Net, "--timeout", o.Timeout.String(), "--memory", o.Memory.String(),
	}
	if o.Hung != 0 {
		args = append(args, "--hung", o.Hung.String())
	}
	args = append(append(args, o.profileOptions.args()...), o.prometheusOptions.args()...)
	if o.Mount != "" {
		args = append(args, "--mount", o.Mount)
	}
	return append(args, o.addressOptions.args()...)
}

// id is the job's id as far as it is known without the other ranks.
func (o *jobOptions) id() string {
	if o.Job != "" {
		return o.Job
	}
	return launch.SchedulerID(os.Getenv)
}

// finder finds the job that is meant.
func (o *jobOptions) finder() (launch.Finder, error) {
	host, err := launch.ShortHost()
	if err != nil {
		return launch.Finder{}, err
	}
	id := o.id()
	if id != "" {
		err = launch.CheckID(id) // the scheduler's can be anything
	}
	return launch.Finder{Base: o.Dir, ID: id, Host: host, Bases: launch.ControlBases()}, err
}

// find returns the job that is meant, with what found it.
func (o *jobOptions) find() (launch.Finder, *launch.Job, error) {
	f, err := o.finder()
	if err != nil {
		return f, nil, err
	}
	job, err := f.Find()
	return f, job, err
}
