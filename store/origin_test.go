package store_test

import (
	"testing"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

func newOrigin(t *testing.T, dir string, mem *store.Memory) *store.Origin {
	t.Helper()
	o, err := store.NewOrigin(dir, mem, store.OriginOptions{NegativeLifetime: storetest.Lifetime})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

func TestPlainConformance(t *testing.T) {
	storetest.RunConformance(t, func(t *testing.T, dir string) store.Source {
		return storetest.Plain{Dir: dir, Mem: storetest.Memory(t, 64<<20)}
	})
}

func TestOriginConformance(t *testing.T) {
	storetest.RunConformance(t, func(t *testing.T, dir string) store.Source {
		return newOrigin(t, dir, storetest.Memory(t, 64<<20))
	})
}

func TestStoreConformance(t *testing.T) {
	storetest.RunConformance(t, func(t *testing.T, dir string) store.Source {
		mem := storetest.Memory(t, 64<<20)
		return store.NewStore(newOrigin(t, dir, mem), mem)
	})
}
