package main

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/copper-hpc/copper/fuse"
	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/mpiboot"
)

func parse(t *testing.T, args ...string) cli {
	t.Helper()
	var c cli
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return c
}

// TestLaunchHandsOptionsOn: serve gets exactly the options of launch, whatever its environment.
func TestLaunchHandsOptionsOn(t *testing.T) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "COPPER_") {
			t.Setenv(name, "") // to be restored
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, args := range [][]string{
		{"launch", "--job", "7"},
		{"launch", "-M", "1G", "-b", "0-1", "-a", "facility", "-F", "bo ok", "--fallback", "--job", "8"},
		{"launch", "--job", "7", "-l", "5", "-t", "both", "-d", "logs", "-T", "3", "-E", "10", "-v", "m nt{rank}", "--target", "/pfs/{host}",
			"--fanout", "4", "--memory", "1GiB", "-n", "tcp://lo", "--timeout", "90s", "--compress", "zstd", "--encrypt",
			"-P", "-N", "20", "-A", "-I", "5", "--kernel-cache", "off", "--prometheus", ":9464", "--prometheus-textfile", "/var/lib/{host}.prom", "--symlinks", "asis", "--allow", "/lus/a b", "--allow", "/data:/etc", "--hung", "3s"},
	} {
		launched := parse(t, args...).Launch.options
		for name, value := range map[string]string{"COPPER_LOG_LEVEL": "1", "COPPER_TARGET": "/elsewhere", "COPPER_TREES": "9", "COPPER_JOB": "8", "COPPER_MEMORY": "99M", "COPPER_ENCRYPT": "true", "COPPER_ALLOW": "/elsewhere",
			"COPPER_CORES": "77", "COPPER_DIRECT_ABOVE": "5", "COPPER_ADDRESSES": "facility", "COPPER_FALLBACK": "true"} {
			t.Setenv(name, value)
		}
		served := parse(t, append([]string{"serve"}, launched.args()...)...).Serve.options
		for _, name := range []string{"COPPER_LOG_LEVEL", "COPPER_TARGET", "COPPER_TREES", "COPPER_JOB", "COPPER_MEMORY", "COPPER_ENCRYPT", "COPPER_ALLOW",
			"COPPER_CORES", "COPPER_DIRECT_ABOVE", "COPPER_ADDRESSES", "COPPER_FALLBACK"} {
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
		if !reflect.DeepEqual(launched, served) {
			t.Errorf("launch %+v\nserve  %+v", launched, served)
		}
	}
}

// TestChargeTellsAll: a daemon gets exactly what its supervisor was given, and the secret.
func TestChargeTellsAll(t *testing.T) {
	given := charge{
		Options: parse(t, "serve", "--job", "7", "-l", "5", "-t", "both", "-d", "logs", "-T", "3", "-E", "10", "-v", "m nt{rank}", "--target", "/pfs/{host}",
			"--fanout", "4", "--memory", "1GiB", "-n", "tcp://lo", "--timeout", "90s", "--encrypt", "--allow", "/lus:/data", "--hung", "3s",
			"-P", "-N", "20", "-A", "-I", "5", "--prometheus", "9464", "--prometheus-textfile", "/x.prom").Serve.options,
		Roster: &mpiboot.Roster{Self: 1, Cards: []mpiboot.Card{{Host: "n0", Endpoints: []string{"tcp://a"}, PID: 3}, {Rank: 1, Host: "n1", Mount: "/m"}}},
		Secret: []byte("a secret of bytes"), Dir: "/d/7", Log: "/l", Target: "/t", Footprint: "/f", Sharers: 2, Began: time.Unix(7, 0).UTC(), Restarts: 4,
	}
	more := parse(t, "serve", "-M", "1G", "-b", "0-1", "-a", "facility", "-F", "book", "--fallback").Serve.options
	given.Options.Direct, given.Options.Cores, given.Options.addressOptions = more.Direct, more.Cores, more.addressOptions
	encoded, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	var got charge
	if err := json.Unmarshal(encoded, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(given, got) || got.host() != "n1" {
		t.Errorf("given\n%+v\ngot\n%+v", given, got)
	}
	for i, field := range reflect.VisibleFields(reflect.TypeFor[options]()) { // one that is left out tells nothing
		if !field.Anonymous && reflect.ValueOf(given.Options).FieldByIndex(field.Index).IsZero() && !strings.HasPrefix(field.Name, "Compress") {
			t.Errorf("option %d, %s, is not given by this test", i, field.Name)
		}
	}
}

// TestEveryOptionHasAVariable: a site's module file can set defaults for everything that serve
// takes.
func TestEveryOptionHasAVariable(t *testing.T) {
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range parser.Model.Children {
		if node.Name != "serve" {
			continue
		}
		for _, flag := range node.Flags {
			if flag.Hidden {
				continue // for tests
			}
			if len(flag.Envs) != 1 || !strings.HasPrefix(flag.Envs[0], "COPPER_") || len(flag.Name) < 2 {
				t.Errorf("--%s: variables %q", flag.Name, flag.Envs)
			}
		}
		if len(node.Flags) < 10 {
			t.Errorf("serve has only %d flags", len(node.Flags))
		}
	}
}

func TestPrint(t *testing.T) {
	p := newPlace(t)
	out := p.must("launch", "--print", "--target", p.target, "-v", p.mount, "--job", "7")
	for _, want := range []string{program + " serve --job 7 ", "--target " + p.target, "--mount " + p.mount} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in %s", want, out)
		}
	}
	if code, _, _ := p.copper("status"); code != 1 {
		t.Error("--print started something")
	}
	p.nothingLeft()
}

// TestAnnounced: what one rank announces, all hear, with its class.
func TestAnnounced(t *testing.T) {
	input := launch.BadInput("target /x: no such file or directory")
	full := inputIfSetup(&fuse.SetupError{Path: "/m", Reason: fuse.ErrMountpointFull})
	crash := errors.New("out of memory")
	fail := func(size int, why ...error) error {
		e := &mpiboot.FailedError{Size: size}
		for rank, err := range why {
			if err != nil {
				e.Failed = append(e.Failed, mpiboot.Failure{Rank: rank, Host: "n1", Why: announced(err).Error()})
			}
		}
		return e
	}
	for _, c := range []struct {
		err  error
		code int
		want string
	}{
		{fail(2, nil, input), 2, "n1 (rank 1): target /x: no such file or directory"},
		{fail(2, nil, full), 2, "n1 (rank 1): /m: the mount point is not empty"},
		{fail(2, input, input), 2, "target /x: no such file or directory"},
		{fail(1, crash), 1, "out of memory"},
		{fail(2, input, crash), 1, "2 of 2 ranks failed: n1 (rank 0): target /x: no such file or directory; n1 (rank 1): out of memory"},
		{crash, 1, "out of memory"},
	} {
		got := heard(c.err)
		if got.Error() != c.want || launch.ExitCode(got) != c.code {
			t.Errorf("%v (%d), want %s (%d)", got, launch.ExitCode(got), c.want, c.code)
		}
	}
	if announced(nil) != nil {
		t.Error("success is announced as a failure")
	}
}
