package launch

import (
	"fmt"
	"strconv"
	"strings"
)

// maxHosts bounds what a host list may stand for: several times the largest machine.
const maxHosts = 100_000

// ExpandHostlist is the hosts that a list in Slurm's form stands for, in its order:
// "login,n[001-003,7],x1000c[0-1]s[0-7]b0n0". What stands in several brackets is combined, the last
// one running fastest.
func ExpandHostlist(list string) ([]string, error) {
	var hosts []string
	for _, item := range splitHostlist(list) {
		expanded, err := expandHost(item, maxHosts-len(hosts))
		if err != nil {
			return nil, fmt.Errorf("host list %q: %w", list, err)
		}
		hosts = append(hosts, expanded...)
	}
	return hosts, nil
}

// splitHostlist splits at the commas outside of brackets.
func splitHostlist(list string) []string {
	depth := 0
	return strings.FieldsFunc(list, func(c rune) bool {
		switch c {
		case '[':
			depth++
		case ']':
			depth--
		}
		return depth == 0 && (c == ',' || c == ' ' || c == '\n')
	})
}

// expandHost expands the brackets of one name into at most limit.
func expandHost(item string, limit int) ([]string, error) {
	names := []string{""}
	for rest := item; rest != ""; {
		text, bracket, found := strings.Cut(rest, "[")
		if strings.Contains(text, "]") {
			return nil, fmt.Errorf("%q: a ] without [", item)
		}
		numbers := []string{""}
		rest = ""
		if found {
			inside, after, closed := strings.Cut(bracket, "]")
			if !closed {
				return nil, fmt.Errorf("%q: a [ without ]", item)
			}
			var err error
			if numbers, err = expandNumbers(inside, limit); err != nil {
				return nil, fmt.Errorf("%q: %w", item, err)
			}
			rest = after
		}
		if len(names)*len(numbers) > limit {
			return nil, fmt.Errorf("%q: more than %d hosts", item, maxHosts)
		}
		combined := make([]string, 0, len(names)*len(numbers))
		for _, name := range names {
			for _, number := range numbers {
				combined = append(combined, name+text+number)
			}
		}
		names = combined
	}
	return names, nil
}

// expandNumbers expands "001-003,7". As many digits as the first number of a range has, all have.
func expandNumbers(ranges string, limit int) ([]string, error) {
	var numbers []string
	for r := range strings.SplitSeq(ranges, ",") {
		from, to, isRange := strings.Cut(r, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.ParseUint(from, 10, 63)
		last, err2 := strconv.ParseUint(to, 10, 63)
		if err != nil || err2 != nil || last < first {
			return nil, fmt.Errorf("%q is no number and no range", r)
		}
		if last-first >= uint64(max(limit-len(numbers), 0)) {
			return nil, fmt.Errorf("%q: more than %d hosts", r, maxHosts)
		}
		for n := first; n <= last; n++ {
			numbers = append(numbers, fmt.Sprintf("%0*d", len(from), n))
		}
	}
	return numbers, nil
}
