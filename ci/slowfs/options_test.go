package slowfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	dir := t.TempDir()
	backing, mount := filepath.Join(dir, "backing"), filepath.Join(dir, "n1")
	for _, d := range []string{backing, mount, filepath.Join(backing, "inside")} {
		mkdir(t, d)
	}
	file := filepath.Join(dir, "file")
	write(t, file, "")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(backing, link); err != nil {
		t.Fatal(err)
	}

	good := Options{Backing: backing, Mounts: []string{mount}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no backing":             {func(o *Options) { o.Backing = "" }, "backing directory"},
		"missing backing":        {func(o *Options) { o.Backing = dir + "/none" }, dir + "/none"},
		"backing is a file":      {func(o *Options) { o.Backing = file }, "not a directory"},
		"no mounts":              {func(o *Options) { o.Mounts = nil }, "no mount point"},
		"missing mount":          {func(o *Options) { o.Mounts = []string{dir + "/none"} }, dir + "/none"},
		"mount is a file":        {func(o *Options) { o.Mounts = []string{file} }, "not a directory"},
		"mount given twice":      {func(o *Options) { o.Mounts = []string{mount, mount} }, "overlaps"},
		"mount in backing":       {func(o *Options) { o.Mounts = []string{backing + "/inside"} }, "overlaps"},
		"mount in linked":        {func(o *Options) { o.Mounts = []string{link + "/inside"} }, "overlaps"},
		"backing in mount":       {func(o *Options) { o.Backing = backing + "/inside"; o.Mounts = []string{backing} }, "overlaps"},
		"negative rate":          {func(o *Options) { o.MetadataRate = -1 }, "metadata rate"},
		"negative bandwidth":     {func(o *Options) { o.Bandwidth = -1 }, "bandwidth"},
		"negative latency":       {func(o *Options) { o.Latency = -1 }, "latency"},
		"negative miss lifetime": {func(o *Options) { o.NegativeLifetime = -1 }, "negative lifetime"},
	} {
		t.Run(name, func(t *testing.T) {
			options := good
			test.change(&options)
			err := options.Validate()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if s, err := Start(options); err == nil {
				_ = s.Close()
				t.Error("Start accepted it")
			}
		})
	}
}

func TestCacheLifetimeDefault(t *testing.T) {
	dir := t.TempDir()
	mkdir(t, dir+"/a")
	mkdir(t, dir+"/b")
	for given, want := range map[time.Duration]time.Duration{0: time.Hour, -1: 0, time.Second: time.Second} {
		o, err := Options{Backing: dir + "/a", Mounts: []string{dir + "/b"}, CacheLifetime: given}.resolve()
		if err != nil || o.CacheLifetime != want {
			t.Errorf("lifetime %v: got %v, %v; want %v", given, o.CacheLifetime, err, want)
		}
	}
}
