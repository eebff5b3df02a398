package export

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/copper-hpc/copper/profiling"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var discard = slog.New(slog.DiscardHandler)

func sum(reads int64) profiling.Sum {
	s := profiling.Snapshot{Host: "n1"}
	s.PFS.Read = reads
	return s.Sum()
}

// example has a cluster that has read so often.
func example(reads *atomic.Int64) *Exporter {
	return &Exporter{Job: "7", Rank: 3, Host: "n1", Own: func() profiling.Sum { return sum(1) },
		Cluster: func(context.Context) (profiling.Sum, int, error) {
			if n := reads.Load(); n > 0 {
				return sum(n), 2, nil
			}
			return profiling.Sum{}, 0, errors.New("nobody answers")
		}}
}

// values are the samples with one label set in a text.
func values(t *testing.T, text io.Reader) map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for name, f := range families {
		if len(f.Metric) == 1 {
			found[name] = f.Metric[0].GetCounter().GetValue() + f.Metric[0].GetGauge().GetValue()
		}
	}
	return found
}

func TestServer(t *testing.T) {
	var reads atomic.Int64
	reads.Store(5)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(ln, example(&reads), discard)
	// A client that says nothing must not keep the server from ending.
	mute, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(method, path string) (int, map[string]float64, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+ln.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK || path != "/metrics" {
			return resp.StatusCode, nil, ""
		}
		return resp.StatusCode, values(t, resp.Body), resp.Header.Get("Content-Type")
	}
	code, got, form := ask(http.MethodGet, "/metrics")
	if code != http.StatusOK || form != profiling.FamiliesType || got["copper_pfs_read_total"] != 5 || got["copper_node_pfs_read_total"] != 1 ||
		got["copper_missing_ranks"] != 2 || got["copper_up"] != 1 {
		t.Errorf("%d, %s: %v", code, form, got)
	}
	for _, c := range []struct {
		method, path string
		code         int
	}{{http.MethodGet, "/", 200}, {http.MethodHead, "/metrics", 200}, {http.MethodGet, "/etc/passwd", 404}, {http.MethodPost, "/metrics", 405}} {
		if code, _, _ := ask(c.method, c.path); code != c.code {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, code, c.code)
		}
	}
	s.Close()
	if conn, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("it is still listened")
	}
}

// TestServerBoundsClients: more than so many wait, and are answered when one leaves.
func TestServerBoundsClients(t *testing.T) {
	var reads atomic.Int64
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(ln, example(&reads), discard)
	defer s.Close()
	var idle []net.Conn
	for range maxClients + 1 {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		idle = append(idle, conn)
	}
	late := idle[maxClients]
	if _, err := fmt.Fprint(late, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = late.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if line, err := bufio.NewReader(late).ReadString('\n'); err == nil {
		t.Errorf("one too many is answered: %q", line)
	}
	_ = idle[0].Close()
	_ = late.SetReadDeadline(time.Now().Add(time.Minute))
	if line, err := bufio.NewReader(late).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Errorf("%q, %v", line, err)
	}
}

// TestFamiliesAreFresh: those who ask at once share an answer; what falls is not told, and neither is what is not known.
func TestFamiliesAreFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int64
		e := example(&reads)
		got := func() map[string]float64 {
			t.Helper()
			var b strings.Builder
			if err := profiling.WriteFamilies(&b, e.families(t.Context())); err != nil {
				t.Fatal(err)
			}
			return values(t, strings.NewReader(b.String()))
		}
		if v := got(); v["copper_up"] != 0 || v["copper_node_pfs_read_total"] != 1 {
			t.Errorf("nobody answers: %v", v)
		} else if _, there := v["copper_pfs_read_total"]; there {
			t.Error("a sum of nobody")
		}
		for _, c := range []struct{ now, want float64 }{{5, 5}, {3, 5}, {7, 7}} {
			reads.Store(int64(c.now))
			time.Sleep(fresh)
			if v := got()["copper_pfs_read_total"]; v != c.want {
				t.Errorf("%v is told as %v, want %v", c.now, v, c.want)
			}
			reads.Store(100)
			if v := got()["copper_pfs_read_total"]; v != c.want {
				t.Errorf("asked again at once: %v", v)
			}
		}
	})
}

func TestTextfile(t *testing.T) {
	var reads atomic.Int64
	reads.Store(1)
	path := filepath.Join(t.TempDir(), "copper.prom")
	f := Keep(path, time.Millisecond, example(&reads), discard)
	read := func() map[string]float64 {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		return values(t, strings.NewReader(string(content))) // whole at any time
	}
	for _, n := range []int64{1, 9} {
		reads.Store(n)
		for began := time.Now(); read()["copper_pfs_read_total"] != float64(n); time.Sleep(time.Millisecond) {
			if time.Since(began) > time.Minute {
				t.Fatalf("it does not come to hold %d", n)
			}
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	f.Close(time.Minute)
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"9464": "127.0.0.1:9464", ":9464": "127.0.0.1:9464", "localhost:1": "localhost:1", "0.0.0.0:9464": "0.0.0.0:9464",
		"[::1]:9464": "[::1]:9464", "": "", "host": "", "1.2.3.4": "", "example.org:80": "", "127.0.0.1:70000": "", ":-1": "", "::1": "", "127.0.0.1:": "",
	} {
		if got, err := Address(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for path, good := range map[string]bool{"/a/copper.prom": true, "/a/{host}.prom": true, "/a/.prom": false, "/a/x": false, "": false} {
		if err := CheckFile(path); (err == nil) != good {
			t.Errorf("%q: %v", path, err)
		}
	}
	if CheckPlace("/proc/self/status/x.prom") == nil || CheckPlace("/nonexistent/x.prom") == nil || CheckPlace(filepath.Join(t.TempDir(), "x.prom")) != nil {
		t.Error("a place is judged wrongly")
	}
}
