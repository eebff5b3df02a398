package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/schollz/progressbar/v3"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/store/manifest"
)

type warmCmd struct {
	jobOptions
	What []string `arg:"" name:"manifest|dir" help:"The manifest of an earlier job (manifest.gz in its directory), or a directory."`
}

func (c *warmCmd) Run() error {
	warmers, err := readWarmers(c.What)
	if err != nil {
		return err
	}
	finder, job, err := c.find()
	if err != nil {
		return err
	}
	return launch.Interruptible(context.Background(), "what is under way goes on in the daemons", func() error {
		return warm(context.Background(), finder, job, warmers)
	})
}

// warmer is one argument of copper warm, checked: a manifest, or the real path of a directory.
type warmer struct {
	name     string
	manifest []byte
	dir      string
}

// readWarmers checks the arguments before anything is asked of a job.
func readWarmers(names []string) ([]warmer, error) {
	warmers := make([]warmer, len(names))
	for i, name := range names {
		var err error
		if warmers[i], err = readWarmer(name); err != nil {
			return nil, launch.BadInput("%w", err)
		}
	}
	return warmers, nil
}

func readWarmer(name string) (warmer, error) {
	w := warmer{name: name}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return w, fmt.Errorf("%s: there is no such manifest or directory", name)
	case err != nil:
		return w, err
	case info.IsDir():
		if w.dir, err = filepath.Abs(name); err == nil {
			w.dir, err = filepath.EvalSymlinks(w.dir)
		}
		return w, err
	case !info.Mode().IsRegular():
		return w, fmt.Errorf("%s: neither a manifest nor a directory", name)
	}
	accesses, err := manifest.Open(name)
	if err != nil {
		return w, err
	}
	if w.manifest, err = pack(accesses); err == nil && len(w.manifest) > launch.MaxManifest {
		err = fmt.Errorf("%s: compressed it has %d bytes, where %d are the limit", name, len(w.manifest), launch.MaxManifest)
	}
	return w, err
}

// order is the order to a job whose view shows target at mount.
func (w *warmer) order(target, mount string) (launch.WarmOrder, error) {
	if w.manifest != nil {
		return launch.WarmOrder{Manifest: w.manifest}, nil
	}
	for _, top := range []string{mount, target} {
		rest, below := strings.CutPrefix(w.dir, strings.TrimSuffix(top, "/"))
		if below && (rest == "" || rest[0] == '/') {
			return launch.WarmOrder{Dir: "/" + strings.TrimPrefix(rest, "/")}, nil
		}
	}
	return launch.WarmOrder{}, launch.BadInput("%s: it is not below %s, which is what the job shows", w.name, target)
}

// warm has a job warmed, with one thing after the other, and shows how far it is.
func warm(ctx context.Context, finder launch.Finder, job *launch.Job, warmers []warmer) error {
	hello, err := finder.Hello(ctx, job)
	if err != nil {
		return err
	}
	orders := make([]launch.WarmOrder, len(warmers))
	for i := range warmers {
		if orders[i], err = warmers[i].order(hello.Target, hello.Mount); err != nil {
			return err
		}
	}
	bar := progressbar.NewOptions64(1, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetVisibility(launch.IsTerminal(os.Stderr)), progressbar.OptionShowCount(), progressbar.OptionSetDescription("warming"))
	var last launch.Warmed
	for _, order := range orders {
		last, err = finder.Warm(ctx, job, order, func(w launch.Warmed) {
			bar.ChangeMax64(max(w.Sum.Accesses, 1))
			bar.Describe(fmt.Sprintf("warming %s, %s", nodes(w.Nodes), launch.Bytes(w.Sum.Bytes)))
			_ = bar.Set64(w.Sum.Done)
		})
		if err != nil {
			break
		}
	}
	_ = bar.Finish()
	if err != nil {
		return err
	}
	fmt.Println(warmText(last))
	if last.Missing > 0 {
		return fmt.Errorf("%s did not answer", nodes(last.Missing))
	}
	return nil
}

// warmText says what the nodes have in memory now.
func warmText(w launch.Warmed) string {
	s := w.Sum
	text := fmt.Sprintf("warm: %s, %d accesses and %s each in memory, %s in the page cache",
		nodes(w.Nodes), s.Done/int64(w.Nodes), launch.Bytes(s.Bytes/int64(w.Nodes)), launch.Bytes(s.Mapped/int64(w.Nodes)))
	for _, part := range []struct {
		n    int64
		text string
	}{
		{s.Changed, "%d files have changed since the manifest was recorded"},
		{s.Gone, "%d accesses are to what is not there any more"},
		{s.Failed, "%d accesses failed; whoever makes them will meet the error"},
	} {
		if part.n > 0 {
			text += "\n  " + fmt.Sprintf(part.text, part.n/int64(w.Nodes))
		}
	}
	if s.LeftOut > 0 {
		text += fmt.Sprintf("\n  %s each found no room; a larger --memory has it", launch.Bytes(s.LeftOut/int64(w.Nodes)))
	}
	return text
}

func nodes(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}
