package launch

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestFindAllocation(t *testing.T) {
	dir := t.TempDir()
	file := func(content string) string {
		path := filepath.Join(dir, "nodes")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		env  map[string]string
		want Allocation
		err  string
	}{
		"none":             {nil, Allocation{}, ""},
		"slurm":            {map[string]string{"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2],x"}, Allocation{Slurm, "7", []string{"n1", "n2", "x"}}, ""},
		"old slurm":        {map[string]string{"SLURM_JOB_ID": "7", "SLURM_NODELIST": "n1"}, Allocation{Slurm, "7", []string{"n1"}}, ""},
		"pbs":              {map[string]string{"PBS_JOBID": "7.aurora", "PBS_NODEFILE": file("x1.cm\nx1.cm\nx2.cm\nx1.cm\n")}, Allocation{PBS, "7", []string{"x1.cm", "x2.cm"}}, ""},
		"no list":          {map[string]string{"SLURM_JOB_ID": "7"}, Allocation{}, "SLURM_JOB_NODELIST"},
		"bad list":         {map[string]string{"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1"}, Allocation{}, `"n[1"`},
		"no node file":     {map[string]string{"PBS_JOBID": "7"}, Allocation{}, "PBS_NODEFILE"},
		"node file absent": {map[string]string{"PBS_JOBID": "7", "PBS_NODEFILE": dir + "/absent"}, Allocation{}, dir + "/absent"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := FindAllocation(func(name string) string { return c.env[name] })
			if c.err != "" {
				if err == nil || ExitCode(err) != ExitBadInput || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v; want %s in it", err, c.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}
