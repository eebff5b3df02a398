package launch

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// SlurmBinding is the value of srun's --cpu-bind for ranks that are to run on the cores, however many share
// a node.
func (c Cores) SlurmBinding() string {
	if c.All() {
		return "none"
	}
	mask := new(big.Int)
	for _, core := range c.list {
		mask.SetBit(mask, core, 1)
	}
	return "mask_cpu:0x" + mask.Text(16)
}

// PALSBinding is the value of PALS's --cpu-bind for one rank a node that is to run on the cores.
func (c Cores) PALSBinding() string {
	if c.All() {
		return "none"
	}
	return "list:" + coreList(c.list)
}

// bindings are the variables that bind an application's ranks to cores. A user's scripts name a list of
// their own by the last two.
var bindings = []string{"SLURM_CPU_BIND", "SLURM_CPU_BIND_LIST", "PALS_CPU_BIND", "CPU_BIND", "CPU_BINDING"}

// Overlaps returns a line for each variable that binds the application to cores of the daemon. getenv is
// os.Getenv or the like.
func (c Cores) Overlaps(getenv func(string) string) (lines []string) {
	seen := map[string]bool{}
	for _, name := range bindings {
		value := getenv(name)
		bound := boundCores(value)
		shared := slices.DeleteFunc(slices.Clone(c.list), func(core int) bool { return !bound[core] })
		if key := coreList(shared); len(shared) > 0 && !seen[key] {
			seen[key] = true
			lines = append(lines, fmt.Sprintf("%s=%s has the application run on the service cores too, on %s: keep them out of its list, or choose others with -b",
				name, value, key))
		}
	}
	return lines
}

// boundCores are the cores that a binding names: map_cpu:0,1 or mask_cpu:0xff,0xff00 of Slurm, list:0-7:8-15 or
// mask:0xff of PALS, with --cpu-bind= or words such as verbose in front, or bare. What it doesn't understand
// names none.
func boundCores(binding string) map[int]bool {
	bound := map[int]bool{}
	binding = strings.TrimPrefix(binding, "--cpu-bind=")
	how, list, typed := strings.Cut(binding, ":")
	if !typed || strings.Trim(how, "0123456789-,") == "" {
		how, list = "", binding
	}
	words := strings.Split(how, ",")
	masks := strings.HasPrefix(words[len(words)-1], "mask")
	for part := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == ':' }) {
		part, _, _ = strings.Cut(part, "*") // Slurm's repetition
		if hex, ok := strings.CutPrefix(part, "0x"); ok || masks {
			mask, ok := new(big.Int).SetString(hex, 16)
			for bit := 0; ok && bit < min(mask.BitLen(), mostCores); bit++ {
				if mask.Bit(bit) == 1 {
					bound[bit] = true
				}
			}
			continue
		}
		if _, err := strconv.Atoi(part[:1]); err != nil {
			continue
		}
		if cores, err := parseCores(part); err == nil {
			for core := range cores {
				bound[core] = true
			}
		}
	}
	return bound
}
