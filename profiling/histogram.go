package profiling

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// Buckets of a histogram: four for each power of two of nanoseconds, so that the middle of a
	// bucket is within an eighth of all that is in it; the last holds everything above 30 minutes.
	buckets    = 41*4 + 4
	subBuckets = 4
)

// bucketOf is the bucket of a duration.
func bucketOf(d time.Duration) int {
	ns := uint64(max(d, 0))
	if ns < subBuckets {
		return int(ns)
	}
	exponent := bits.Len64(ns) - 1
	return min((exponent-1)*subBuckets+int(ns>>(exponent-2))%subBuckets, buckets-1)
}

// bottomOf is the least duration in a bucket.
func bottomOf(bucket int) time.Duration {
	if bucket < subBuckets {
		return time.Duration(bucket)
	}
	exponent := bucket/subBuckets + 1
	return time.Duration(subBuckets+bucket%subBuckets) << (exponent - 2)
}

// recording is a histogram that many goroutines write.
type recording struct {
	buckets [buckets]atomic.Uint64
	sum     atomic.Int64
}

func (r *recording) record(d time.Duration) {
	r.buckets[bucketOf(d)].Add(1)
	r.sum.Add(int64(d))
}

func (r *recording) read() Histogram {
	h := Histogram{Sum: time.Duration(r.sum.Load())}
	for i := range r.buckets {
		h.counts[i] = r.buckets[i].Load()
	}
	return h
}

// Histogram is how long requests took.
type Histogram struct {
	Sum    time.Duration
	counts [buckets]uint64
}

// Count is the number of requests.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h.counts {
		n += c
	}
	return n
}

// Average is 0 for an empty histogram.
func (h *Histogram) Average() time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	return h.Sum / time.Duration(n)
}

// Quantile is the duration that the share q of the requests took at most, within an eighth; 0 for an
// empty histogram.
func (h *Histogram) Quantile(q float64) time.Duration {
	wanted := q * float64(h.Count())
	var seen uint64
	last := 0
	for i, c := range h.counts {
		if c == 0 {
			continue
		}
		last = i
		if seen += c; float64(seen) >= wanted {
			break
		}
	}
	if h.counts[last] == 0 {
		return 0
	}
	return (bottomOf(last) + bottomOf(last+1)) / 2
}

func (h *Histogram) add(o *Histogram) {
	h.Sum += o.Sum
	for i, c := range o.counts {
		h.counts[i] += c
	}
}

// String lists the buckets that are not empty as bucket:count, for files; see parseHistogram.
func (h *Histogram) String() string {
	var parts []string
	for i, c := range h.counts {
		if c > 0 {
			parts = append(parts, strconv.Itoa(i)+":"+strconv.FormatUint(c, 10))
		}
	}
	return strings.Join(parts, " ")
}

// parseHistogram reads what String wrote; the sum isn't in it.
func parseHistogram(text string) (h Histogram, err error) {
	for text != "" {
		var part string
		part, text, _ = strings.Cut(text, " ")
		bucket, count, _ := strings.Cut(part, ":")
		i, err := strconv.Atoi(bucket)
		n, err2 := strconv.ParseUint(count, 10, 64)
		if err != nil || err2 != nil || i < 0 || i >= buckets {
			return h, fmt.Errorf("latency bucket %q: want BUCKET:COUNT", part)
		}
		h.counts[i] += n
	}
	return h, nil
}
