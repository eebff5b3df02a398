package launch

import "strings"

// CheckNetwork looks for what -n asks for, and tells what there is of libfabric and Slingshot.
func (d Doctor) CheckNetwork() []Finding {
	n, err := parseNetwork(d.Network)
	if err != nil {
		return []Finding{problem("name another network by -n or COPPER_NET", "%v", err)}
	}
	shown := cxiNICs(d.Fabric.Sys)
	findings := []Finding{d.libraryFor(n, len(shown) > 0)}
	if n.fabric() && n.scheme != schemeCXI {
		findings = append(findings, d.providerFor(n))
	}
	if n.scheme == schemeCXI || len(shown) > 0 {
		findings = append(findings, d.devicesFor(n, shown), d.shareFor(n))
	}
	return findings
}

// libraryFor tells which libfabric is found, or what is missing; useful: there are devices that want it.
func (d Doctor) libraryFor(n network, useful bool) Finding {
	library, err := d.Fabric.library()
	const load = "load the site's module of libfabric, or build copper where libfabric's headers are"
	switch {
	case err == nil:
		return fine("libfabric %s, %s", library.Version, library.Path)
	case n.fabric():
		return problem(load+", or "+n.remedy(), "network %s: %v", n.text, err)
	case useful:
		return warning(load, "there are CXI devices, and for -n cxi something is missing: %v", err)
	}
	return fine("no libfabric (%v), which -n %s does not need", err, n.text)
}

// providerFor tells which of libfabric's devices there are for a network.
func (d Doctor) providerFor(n network) Finding {
	devices, err := d.Fabric.devices(n.scheme)
	if err != nil {
		return problem(n.remedy(), "network %s: %v", n.text, err)
	}
	var names []string
	for _, device := range devices {
		names = append(names, device.Domain)
	}
	return fine("libfabric's provider %s has %s", providers[n.scheme], strings.Join(unique(names), ", "))
}

// devicesFor tells which CXI devices there are, by their driver and by libfabric.
func (d Doctor) devicesFor(n network, shown []cxiNIC) Finding {
	nics, err := d.Fabric.usable()
	if err == nil && n.scheme == schemeCXI {
		_, err = d.Fabric.device(n.place)
		if d.Fabric.slingshot().check(n.place) != nil {
			err = nil // another finding
		}
	}
	there := "no CXI device here"
	if len(shown) > 0 {
		there = "CXI devices " + nicNames(shown)
	}
	switch {
	case err != nil && n.scheme == schemeCXI:
		return problem(n.remedy(), "network %s: %v; %s", n.text, err, there)
	case err != nil:
		return warning("load the site's module of libfabric for -n cxi", "%s; %v", there, err)
	}
	var each []string
	for _, nic := range nics {
		each = append(each, nic.String()+" at "+nic.endpoint())
	}
	return fine("libfabric has CXI devices %s", strings.Join(each, ", "))
}

// shareFor tells what the launcher says of this step's share of the network.
func (d Doctor) shareFor(n network) Finding {
	const (
		ask   = "for steps on one node: srun --network=single_node_vni, or with PALS mpiexec --single-node-vni; else ask the site why steps get no virtual network"
		stale = "unset the SLINGSHOT_ variables if they are of another step, else ask the site"
	)
	device := ""
	if n.scheme == schemeCXI {
		device = n.place
	}
	s := d.Fabric.slingshot()
	err := s.check(device)
	switch {
	case err != nil && n.scheme == schemeCXI:
		return problem(stale, "network %s: %v", n.text, err)
	case err != nil:
		return warning(stale, "%v", err)
	case s.told():
		return fine("%s", s)
	case s.step != "":
		return warning(ask, "this is a job step (%s is set) on a node with CXI devices, and it has no virtual network: SLINGSHOT_VNIS is not set", s.step)
	}
	return fine("SLINGSHOT_VNIS is not set: this is no job step; a step's daemons get theirs from its launcher")
}
