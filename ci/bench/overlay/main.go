// Command overlay measures Copper's wire against what else could carry its requests, in one run:
// a bare TCP ping-pong, grpc-go, iperf3. It prints a table of medians and ratios; absolute figures
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
	hop, err := newChain(1, make([]byte, bulkFile), store.Raw)
	if err != nil {
		return err
	}
	defer hop.close()
	libraries, err := sharedLibraries(bulkFile)
	if err != nil {
		return err
	}
	rpc, err := newGRPC()
	if err != nil {
		return err
	}
	defer rpc.close()
	wire, err := newPingPong()
	if err != nil {
		return err
	}
	defer wire.close()

	// In turns, so that what else the machine does meets all of them alike.
	var pingpong, stat, grpcOne, statRate, grpcRate, iperf, bulk []float64
	type chained struct {
		*chain
		rate, cpu []float64
	}
	chains := map[store.Encoding]*chained{}
	for _, encoding := range []store.Encoding{store.Raw, store.S2, store.Zstd} {
		c, err := newChain(3, libraries, encoding)
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
		for _, m := range []struct {
			into *[]float64
			take func(context.Context) (float64, error)
		}{
			{&pingpong, func(context.Context) (float64, error) { return latency(wire.call) }},
			{&stat, func(context.Context) (float64, error) { return latency(hop.stat) }},
			{&grpcOne, func(context.Context) (float64, error) { return latency(rpc.call) }},
			{&statRate, func(context.Context) (float64, error) { return rate(hop.stat) }},
			{&grpcRate, func(context.Context) (float64, error) { return rate(rpc.call) }},
			{&iperf, iperf3},
			{&bulk, func(context.Context) (float64, error) { b, _, err := hop.bulk(); return b, err }},
		} {
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
		median(stat), median(pingpong), median(stat)/median(pingpong))
	fmt.Fprintf(w, "stat, one at a time\t%.1f µs\tgrpc-go %.1f µs\t%.2fx\t\n",
		median(stat), median(grpcOne), median(stat)/median(grpcOne))
	fmt.Fprintf(w, "stat, %d in flight\t%.0f k/s\tgrpc-go %.0f k/s\t%.2fx\t≥ 4x\n",
		inFlight, median(statRate)/1e3, median(grpcRate)/1e3, median(statRate)/median(grpcRate))
	fmt.Fprintf(w, "bulk, one hop\t%.2f GB/s\tiperf3 (cubic) %.2f GB/s\t%.2fx\t≥ 0.8x\n",
		median(bulk)/1e9, median(iperf)/1e9, median(bulk)/median(iperf))
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
