package launch

import (
	"fmt"
	"os"
	"slices"
)

// Level is how much a finding matters.
type Level string

// The levels.
const (
	Fine    Level = "ok"
	Warning Level = "warning" // Copper works, but less well than it could, or something was left behind
	Problem Level = "problem" // Copper does not work, or an application meets errors
)

// Finding is what a check of `copper doctor` found, in one line, and in another what to do about it.
type Finding struct {
	Check  string `json:"check"`
	Level  Level  `json:"level"` // ok, warning or problem
	Found  string `json:"found"`
	Advice string `json:"advice,omitempty"` // never with ok
}

func fine(format string, args ...any) Finding {
	return Finding{Level: Fine, Found: fmt.Sprintf(format, args...)}
}

func warning(advice, format string, args ...any) Finding {
	return Finding{Level: Warning, Found: fmt.Sprintf(format, args...), Advice: advice}
}

func problem(advice, format string, args ...any) Finding {
	return Finding{Level: Problem, Found: fmt.Sprintf(format, args...), Advice: advice}
}

// Diagnosis is what `copper doctor --json` prints. Fields are only ever added; Version changes if one
// must change its meaning. Checks may be added and may have several findings.
type Diagnosis struct {
	Version  int       `json:"version"` // 1
	Host     string    `json:"host"`
	Problems int       `json:"problems"`
	Warnings int       `json:"warnings"`
	Findings []Finding `json:"findings"`
}

// NewDiagnosis counts findings up.
func NewDiagnosis(host string, findings []Finding) Diagnosis {
	d := Diagnosis{Version: 1, Host: host, Findings: findings}
	for _, f := range findings {
		switch f.Level {
		case Problem:
			d.Problems++
		case Warning:
			d.Warnings++
		}
	}
	return d
}

// Doctor looks at one node as an ordinary user can, and changes nothing. Its checks may hang with what
// they look at: [Examine] runs each in a process of its own. All fields must be set.
type Doctor struct {
	Program string // the copper binary
	Finder  Finder
	Mounts  Mounts
	Search  Search
	Getenv  func(name string) string
	Root    bool   // the user is root
	Network string // value of -n
	Fabric  Fabric
}

// NewDoctor looks at this node; program is the copper binary.
func NewDoctor(program string, f Finder, network string, fabric Fabric) Doctor {
	return Doctor{
		Program: program, Finder: f, Mounts: NodeMounts(program), Search: SystemSearch(), Getenv: os.Getenv,
		Root: os.Geteuid() == 0, Network: network, Fabric: fabric,
	}
}

// few is the first of things, and how many there are beyond.
func few(things []string) string {
	const most = 3
	text := ""
	for i, t := range things[:min(most, len(things))] {
		if i > 0 {
			text += ", "
		}
		text += t
	}
	if more := len(things) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func unique(things []string) []string {
	things = slices.Clone(things)
	slices.Sort(things)
	return slices.Compact(things)
}
