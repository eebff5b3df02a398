package main

import (
	"fmt"
	"path/filepath"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/profiling/export"
)

// prometheusOptions say where Prometheus finds what the daemons count.
type prometheusOptions struct {
	Prometheus string `name:"prometheus" env:"COPPER_PROMETHEUS" placeholder:"ADDR" help:"Rank 0 answers Prometheus at this port of its own host only, or ADDRESS:PORT, such as 0.0.0.0:9464 for all of its addresses: the sums of all nodes, and its own numbers (none)."`
	Textfile   string `name:"prometheus-textfile" env:"COPPER_PROMETHEUS_TEXTFILE" placeholder:"FILE" help:"Rank 0 writes the same to this file every 15 s, for node_exporter's textfile collector. Where {host} or {rank} is in its path, each rank writes one with its own numbers (none)."`
}

func (o *prometheusOptions) check() error {
	if o.Prometheus != "" {
		if _, err := export.Address(o.Prometheus); err != nil {
			return fmt.Errorf("--prometheus=%w", err)
		}
	}
	if o.Textfile == "" {
		return nil
	}
	if err := export.CheckFile(o.Textfile); err != nil {
		return fmt.Errorf("--prometheus-textfile=%w", err)
	}
	if !filepath.IsAbs(o.Textfile) {
		return fmt.Errorf("--prometheus-textfile=%q: want an absolute path", o.Textfile)
	}
	return nil
}

// textfile is where a rank writes its file; "" where it writes none.
func (o *prometheusOptions) textfile(rank int, host string) string {
	if path := launch.Fill(o.Textfile, rank, host); rank == 0 || path != o.Textfile {
		return path
	}
	return ""
}

func (o *prometheusOptions) args() []string {
	return []string{"--prometheus", o.Prometheus, "--prometheus-textfile", o.Textfile}
}
