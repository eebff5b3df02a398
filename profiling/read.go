package profiling

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// eachRow calls row with each row of a CSV file below its heading, which must begin with columns.
// The fields are valid during the call. Errors name the file and the row.
func eachRow(path string, columns []string, row func(fields []string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := csv.NewReader(bufio.NewReader(f))
	in.ReuseRecord = true
	heading, err := in.Read()
	if errors.Is(err, io.EOF) {
		err = errors.New("the file is empty")
	}
	if err == nil && (len(heading) < len(columns) || !slices.Equal(heading[:len(columns)], columns)) {
		err = fmt.Errorf("heading %q, want %q", strings.Join(heading, ","), strings.Join(columns, ","))
	}
	number := 1
	for err == nil {
		number++
		var fields []string
		if fields, err = in.Read(); err == nil {
			err = row(fields)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("%s: row %d: %w", path, number, err)
}

// numbers reads the fields of a row, and remembers the first that is no number.
type numbers struct{ err error }

func (n *numbers) float(text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && n.err == nil {
		n.err = fmt.Errorf("%q is no number", text)
	}
	return v
}

func (n *numbers) int(text string) int64 {
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil && n.err == nil {
		n.err = fmt.Errorf("%q is no whole number", text)
	}
	return v
}

func (n *numbers) duration(text string) time.Duration {
	return time.Duration(n.float(text)*1e9 + 0.5)
}

func readOperations(path string, each func(OperationCounts)) error {
	return eachRow(path, operationColumns, func(f []string) error {
		var n numbers
		latency, err := parseHistogram(f[12])
		if err != nil {
			return err
		}
		o := OperationCounts{Name: f[0], Calls: n.int(f[1]), Hits: n.int(f[2]), Misses: n.int(f[3]), Negatives: n.int(f[4]),
			Errors: n.int(f[7]), Bytes: n.int(f[8]), Measured: f[11] == "1", Latency: latency}
		o.Latency.Sum = n.duration(f[6])
		if n.err == nil {
			each(o)
		}
		return n.err
	})
}

func readPaths(path string, each func(*PathUse)) error {
	return eachRow(path, pathColumns, func(f []string) error {
		var n numbers
		p := PathUse{Path: strings.Clone(readPath(f[0])), First: n.duration(f[3])}
		for op := range p.Calls {
			p.Calls[op] = n.int(f[4+op])
		}
		f = f[4+len(p.Calls):]
		p.Misses, p.Negatives, p.Errors, p.Bytes, p.Took = n.int(f[0]), n.int(f[1]), n.int(f[2]), n.int(f[3]), n.duration(f[4])
		if n.err == nil {
			each(&p)
		}
		return n.err
	})
}

// readTimeline returns the rank, and when it was asked.
func readTimeline(path string) (rank int, spans []Span, err error) {
	err = eachRow(path, timelineColumns, func(f []string) error {
		var n numbers
		rank = int(n.int(f[0]))
		p := Span{Began: tick(math.Round(n.float(f[1]) * ticks)), Requests: n.int(f[3]), Misses: n.int(f[4]), Took: n.duration(f[5])}
		p.Ended = p.Began + tick(math.Round(n.float(f[2])*ticks))
		if n.err == nil && p.Ended > p.Began {
			spans = append(spans, p)
		}
		return n.err
	})
	return rank, spans, err
}

func readTop(path string, each func(*TopPath)) error {
	return eachRow(path, topColumns, func(f []string) error {
		var n numbers
		p := TopPath{Path: strings.Clone(readPath(f[1])), Requests: n.int(f[3]), Error: n.int(f[4]), Misses: n.int(f[5]),
			Negatives: n.int(f[6]), Bytes: n.int(f[7]), Took: n.duration(f[8])}
		if n.err == nil {
			each(&p)
		}
		return n.err
	})
}
