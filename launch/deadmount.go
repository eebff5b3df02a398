package launch

import (
	"context"
	"fmt"
	"os"
)

// AbortMount makes the kernel end all requests to the Copper mount at point, those included whose
// callers can't be killed while they wait. It does what it can: the right to it may be missing.
func AbortMount(point string) {
	if e, err := entryAt(point); err == nil && e.fstype == FSType {
		_ = os.WriteFile(fmt.Sprintf("/sys/fs/fuse/connections/%s/abort", e.minor), []byte("1"), 0)
	}
}

// DropMount takes the Copper mounts at point away, of which the caller knows that nobody serves
// them.
func DropMount(ctx context.Context, point string) error {
	for range mostStacked {
		fstype, err := mountedAt(point)
		if err != nil || fstype != FSType {
			return err
		}
		AbortMount(point)
		if err := lazyUnmount(ctx, point); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: more than %d Copper mounts lie one over the other", point, mostStacked)
}
