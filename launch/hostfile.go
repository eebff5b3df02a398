package launch

import "strings"

// mostNamed bounds the bytes of host names in an argument. The kernel takes no argument of more than 128 KiB
// (MAX_ARG_STRLEN), some 8,000 hosts, and people read command lines.
const mostNamed = 4 << 10

// nameHosts tells the command the step's hosts, by the option list, or, where they are too many for an
// argument, in a file by the option file. An option that ends with = and its value are one argument.
func (c *Command) nameHosts(s Step, list, file string) {
	option, value := list, strings.Join(s.Hosts, ",")
	if len(value) > mostNamed && s.HostFile != "" {
		option, value = file, s.HostFile
		c.HostFile, c.Hosts = s.HostFile, s.Hosts
	}
	if strings.HasSuffix(option, "=") {
		c.Args = append(c.Args, option+value)
		return
	}
	c.Args = append(c.Args, option, value)
}

// writeHostFile writes what the command is going to read.
func (c Command) writeHostFile() error {
	if c.HostFile == "" {
		return nil
	}
	return writeFile(c.HostFile, []byte(strings.Join(c.Hosts, "\n")+"\n"))
}

// HostFile is where the hosts of a step are put down if they are too many for the launcher's command line.
func (d JobDir) HostFile() string { return d.Logs() + "/hosts.txt" }

// SweepHostFile is [JobDir.HostFile] for a step that ends what is left of the job.
func (d JobDir) SweepHostFile() string { return d.Logs() + "/sweep_hosts.txt" }
