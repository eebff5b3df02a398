package launch

import (
	"maps"
	"slices"
)

// CommonCores are the cores that are in both of two lists such as 48,49 or 0-3,8. What is no such list
// has none.
func CommonCores(a, b string) []int {
	first, errA := parseCores(a)
	second, errB := parseCores(b)
	if a == "" || b == "" || errA != nil || errB != nil {
		return nil
	}
	maps.DeleteFunc(first, func(core int, _ bool) bool { return !second[core] })
	return slices.Sorted(maps.Keys(first))
}
