package launch

import (
	"strings"
	"testing"
	"time"
)

func TestCacheUse(t *testing.T) {
	s := statusOf(t, &Job{State: State{ID: "7"}}, []NodeStatus{
		{Rank: 0, Host: "n1", Counters: Counters{Cache: CacheStatus{Data: TableUse{1, 4096}, Tree: TableUse{2, 20}, Meta: TableUse{3, 300}}}},
		{Rank: 5, Host: "n2", Counters: Counters{Cache: CacheStatus{Data: TableUse{10, 4096}}}},
	})
	var out strings.Builder
	if err := s.WriteCacheUse(&out); err != nil {
		t.Fatal(err)
	}
	want := `rank,host,table,entries,bytes
0,n1,data,1,4096
0,n1,tree,2,20
0,n1,metadata,3,300
0,n1,combined,6,4416
5,n2,data,10,4096
5,n2,tree,0,0
5,n2,metadata,0,0
5,n2,combined,10,4096
all,,data,11,8192
all,,tree,2,20
all,,metadata,3,300
all,,combined,16,8512
`
	if out.String() != want {
		t.Errorf("%s", out.String())
	}
	out.Reset()
	if err := s.WriteText(&out, time.Now()); err != nil || !strings.Contains(out.String(), "data 8.0 KiB in 11 entries; tree 20 B in 2 entries") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
