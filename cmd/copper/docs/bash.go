package docs

import (
	"bytes"
	"fmt"
	"strings"
)

// bash is the completion for bash 4, with or without the package bash-completion.
func bash(all []*command) []byte {
	var b bytes.Buffer
	name := all[0].words[0]
	fmt.Fprintf(&b, `# bash completion for %[1]s, made from its command line.
_%[1]s() {
  local command=%[1]s word cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words='' places=''
  # --flag=value comes as three words.
  if [[ $cur == '=' ]]; then
    cur=''
  elif [[ $prev == '=' && $COMP_CWORD -ge 2 ]]; then
    prev=${COMP_WORDS[COMP_CWORD-2]}
  fi
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$command $word" in
`, name)
	for _, c := range all[1:] {
		fmt.Fprintf(&b, "      %s) command=\"$command $word\" ;;\n", quote(c.String()))
	}
	b.WriteString("    esac\n  done\n  case \"$command $prev\" in\n")
	for _, c := range all {
		for _, f := range c.flags {
			if !takes(f) {
				continue
			}
			var patterns []string
			for _, name := range names(f) {
				patterns = append(patterns, quote(c.String()+" "+name))
			}
			var action string
			if values := choices(f); values != nil {
				action = "words=" + quote(strings.Join(values, " "))
			} else if p := placesOf(f); p != noPlace {
				action = "places=" + bashPlaces[p]
			} else {
				action = "return"
			}
			fmt.Fprintf(&b, "    %s) %s ;;\n", strings.Join(patterns, "|"), action)
		}
	}
	b.WriteString("    *)\n      case \"$command\" in\n")
	for _, c := range all {
		var flags, children []string
		for _, f := range c.flags {
			flags = append(flags, names(f)...)
		}
		for _, child := range c.children {
			children = append(children, child.node.Name)
		}
		fmt.Fprintf(&b, "        %s)\n          if [[ $cur == -* ]]; then words=%s; else words=%s", quote(c.String()),
			quote(strings.Join(flags, " ")), quote(strings.Join(children, " ")))
		if len(c.node.Positional) > 0 {
			b.WriteString(" places=" + bashPlaces[anyFile])
		}
		b.WriteString("; fi ;;\n")
	}
	fmt.Fprintf(&b, `      esac ;;
  esac
  if [[ -n $places ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -A "$places" -- "$cur")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
  fi
}
complete -F _%[1]s %[1]s %[1]s-mpich
`, name)
	return b.Bytes()
}

// bashPlaces are the actions of bash's compgen.
var bashPlaces = map[places]string{directories: "directory", anyFile: "file"}

// quote is s as one word of a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
