// Command overlay measures Copper's wire against what else could carry its requests, in one run:
// a bare TCP ping-pong, grpc-go, iperf3; and the same over libfabric, where it is. It prints a table of medians and ratios; absolute figures
// are this machine's, ratios carry over.
//
//	make bench-overlay
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/copper-hpc/copper/store"
)

const (
	rounds   = 5
	inFlight = 64
	period   = time.Second // of one measurement
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "bench-overlay:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	networks, err := fabrics()
	if err != nil {
		return err
	}
	var sides []*side
	for _, n := range append([]network{tcp}, networks...) {
		s, err := newSide(n)
		if err != nil {
			return err
		}
		defer s.close()
		sides = append(sides, s)
	}
	overTCP := sides[0]
	libraries, err := sharedLibraries(bulkFile)
	if err != nil {
		return err
	}
	rpc, err := newGRPC()
	if err != nil {
		return err
	}
	defer rpc.close()

	// In turns, so that what else the machine does meets all of them alike.
	var grpcOne, statRate, grpcRate, iperf []float64
	type chained struct {
		*chain
		rate, cpu []float64
	}
	chains := map[store.Encoding]*chained{}
	for _, encoding := range []store.Encoding{store.Raw, store.S2, store.Zstd} {
		c, err := newChain(tcp, 3, libraries, encoding)
		if err != nil {
			return err
		}
		defer c.close()
		if _, _, err := c.cold(); err != nil {
			return err
		}
		chains[encoding] = &chained{chain: c}
	}
	for range rounds {
		type measurement struct {
			into *[]float64
			take func(context.Context) (float64, error)
		}
		var all []measurement
		for _, s := range sides {
			all = append(all,
				measurement{&s.calls, func(context.Context) (float64, error) { return latency(s.wire.call) }},
				measurement{&s.stats, func(context.Context) (float64, error) { return latency(s.hop.stat) }},
				measurement{&s.streams, s.network.stream},
				measurement{&s.bulks, func(context.Context) (float64, error) { b, _, err := s.hop.bulk(); return b, err }},
			)
		}
		for _, m := range append(all, []measurement{
			{&grpcOne, func(context.Context) (float64, error) { return latency(rpc.call) }},
			{&statRate, func(context.Context) (float64, error) { return rate(overTCP.hop.stat) }},
			{&grpcRate, func(context.Context) (float64, error) { return rate(rpc.call) }},
			{&iperf, iperf3},
		}...) {
			v, err := m.take(ctx)
			if err != nil {
				return err
			}
			*m.into = append(*m.into, v)
		}
		for _, c := range chains {
			rate, cpu, err := c.cold()
			if err != nil {
				return err
			}
			c.rate, c.cpu = append(c.rate, rate), append(c.cpu, cpu)
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\tCopper\tagainst\tratio\taim")
	fmt.Fprintf(w, "stat, one at a time\t%.1f µs\tTCP ping-pong %.1f µs\t%.2fx\t≤ 1.5x\n",
		median(overTCP.stats), median(overTCP.calls), median(overTCP.stats)/median(overTCP.calls))
	fmt.Fprintf(w, "stat, one at a time\t%.1f µs\tgrpc-go %.1f µs\t%.2fx\t\n",
		median(overTCP.stats), median(grpcOne), median(overTCP.stats)/median(grpcOne))
	fmt.Fprintf(w, "stat, %d in flight\t%.0f k/s\tgrpc-go %.0f k/s\t%.2fx\t≥ 4x\n",
		inFlight, median(statRate)/1e3, median(grpcRate)/1e3, median(statRate)/median(grpcRate))
	fmt.Fprintf(w, "bulk, one hop\t%.2f GB/s\tiperf3 (cubic) %.2f GB/s\t%.2fx\t≥ 0.8x\n",
		median(overTCP.bulks)/1e9, median(iperf)/1e9, median(overTCP.bulks)/median(iperf))
	for _, s := range sides[1:] {
		fmt.Fprintf(w, "messages there and back, over %s\t%.1f µs\tover TCP %.1f µs\t%.2fx\t\n",
			s.name, median(s.calls), median(overTCP.calls), median(s.calls)/median(overTCP.calls))
		fmt.Fprintf(w, "stat, one at a time, over %s\t%.1f µs\tover TCP %.1f µs\t%.2fx\t\n",
			s.name, median(s.stats), median(overTCP.stats), median(s.stats)/median(overTCP.stats))
		fmt.Fprintf(w, "a stream of bytes, over %s\t%.2f GB/s\tover TCP %.2f GB/s\t%.2fx\t\n",
			s.name, median(s.streams)/1e9, median(overTCP.streams)/1e9, median(s.streams)/median(overTCP.streams))
		fmt.Fprintf(w, "bulk, one hop, over %s\t%.2f GB/s\tover TCP %.2f GB/s\t%.2fx\t\n",
			s.name, median(s.bulks)/1e9, median(overTCP.bulks)/1e9, median(s.bulks)/median(overTCP.bulks))
	}
	off := chains[store.Raw]
	for _, encoding := range []store.Encoding{store.Raw, store.S2, store.Zstd} {
		c := chains[encoding]
		fmt.Fprintf(w, "libraries, first time over three hops, %v\t%.2f GB/s, %.2f core-s/GB\traw %.2f GB/s\t%.2fx\t\n",
			encoding, median(c.rate)/1e9, median(c.cpu), median(off.rate)/1e9, median(c.rate)/median(off.rate))
	}
	return w.Flush()
}

// sharedLibraries is size bytes of this machine's shared libraries, each once.
func sharedLibraries(size int) ([]byte, error) {
	names, err := filepath.Glob("/usr/lib/*-linux-gnu/*.so*")
	if err != nil {
		return nil, err
	}
	var content []byte
	for _, name := range names {
		if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if content = append(content, data...); len(content) >= size {
			return content[:size], nil
		}
	}
	return content, nil
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

// latency is the median time of one call after another, in microseconds.
func latency(call func() error) (float64, error) {
	var times []float64
	for begin := time.Now(); time.Since(begin) < period; {
		t := time.Now()
		if err := call(); err != nil {
			return 0, err
		}
		times = append(times, float64(time.Since(t).Nanoseconds())/1e3)
	}
	return median(times), nil
}

// rate is the number of calls a second with inFlight under way.
func rate(call func() error) (float64, error) {
	type outcome struct {
		calls int
		err   error
	}
	outcomes := make(chan outcome)
	begin := time.Now()
	for range inFlight {
		go func() {
			n := 0
			for time.Since(begin) < period {
				if err := call(); err != nil {
					outcomes <- outcome{n, err}
					return
				}
				n++
			}
			outcomes <- outcome{n, nil}
		}()
	}
	sum, failed := 0, error(nil)
	for range inFlight {
		o := <-outcomes
		sum += o.calls
		if o.err != nil {
			failed = o.err
		}
	}
	return float64(sum) / time.Since(begin).Seconds(), failed
}

// cpu is the processor time of this process so far, in seconds.
func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
