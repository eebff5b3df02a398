package launch

import "testing"

func TestCheckNetwork(t *testing.T) {
	const share, gave, services = "SLINGSHOT_VNIS=4034", "SLINGSHOT_DEVICES=cxi0,cxi1", "SLINGSHOT_SVC_IDS=11,12"
	none := map[string]string{}
	alone := withoutLibrary(t)
	alone.Sys = devices(t, twoNICs)
	const library = "ok: libfabric 1.22, /opt/libfabric.so.1"
	const both = "ok: libfabric has CXI devices cxi0 (NIC 0x48b3) at ofi+cxi://0x00916600, cxi1 (NIC 0x3073) at ofi+cxi://0x0060e600"
	for name, c := range map[string]struct {
		network string
		Fabric
		want []string
	}{
		"tcp, nothing":    {"tcp", withoutLibrary(t), []string{"ok: no libfabric (libfabric.so.1: cannot open shared object file), which -n tcp does not need"}},
		"tcp, not built":  {"tcp", Fabric{Sys: t.TempDir()}, []string{"ok: built without libfabric"}},
		"tcp, but could":  {"tcp", fabricOf(t, twoNICs), []string{library, both, "ok: no job step"}},
		"tcp, could":      {"tcp", alone, []string{"warning: there are CXI devices, and for -n cxi something is missing", "warning: CXI devices cxi0 (NIC 0x48b3)", "ok: no job step"}},
		"trial":           {"ofi+tcp", fabricOf(t, none), []string{library, "ok: provider tcp;ofi_rxm has eth0"}},
		"trial, nothing":  {"ofi+tcp", withoutLibrary(t), []string{"problem: network ofi+tcp: libfabric.so.1", "problem: take -n tcp "}},
		"cxi, nothing":    {"cxi", fabricOf(t, none), []string{library, "problem: network cxi: libfabric 1.22 (/opt/libfabric.so.1) has no provider cxi: fi_getinfo: No data available; no CXI device here", "ok: no job step"}},
		"cxi":             {"cxi", fabricOf(t, twoNICs, share, gave, services, "SLINGSHOT_TCS=0xa"), []string{library, both, "ok: SLINGSHOT_VNIS=4034 SLINGSHOT_DEVICES=cxi0,cxi1 SLINGSHOT_SVC_IDS=11,12 SLINGSHOT_TCS=0xa"}},
		"cxi, no device":  {"cxi3", fabricOf(t, twoNICs), []string{library, "problem: no device cxi3 on this host, only cxi0 (NIC 0x48b3), cxi1 (NIC 0x3073); CXI devices", "ok: no job step"}},
		"cxi, not given":  {"cxi1", fabricOf(t, twoNICs, share, "SLINGSHOT_DEVICES=cxi0", "SLINGSHOT_SVC_IDS=11"), []string{library, both, "problem: network cxi1: the launcher gave this step no service at cxi1"}},
		"tcp, counts":     {"tcp", fabricOf(t, twoNICs, share, gave, "SLINGSHOT_SVC_IDS=11"), []string{library, both, "warning: named 2 CXI devices and 1 service"}},
		"Slurm's step":    {"cxi", fabricOf(t, twoNICs, "SLURM_STEP_NUM_TASKS=2"), []string{library, both, "warning: (SLURM_STEP_NUM_TASKS is set) on a node with CXI devices, and it has no virtual network: SLINGSHOT_VNIS is not set => for steps on one node: srun --network=single_node_vni"}},
		"PALS' step":      {"tcp", fabricOf(t, twoNICs, "PALS_RANKID=0"), []string{library, both, "warning: PALS_RANKID"}},
		"a batch script":  {"cxi", fabricOf(t, twoNICs, "SLURM_PROCID=0"), []string{library, both, "ok: no job step"}},
		"not a network":   {"udp", fabricOf(t, twoNICs), []string{"problem: want tcp, "}},
		"lent by another": {"cxi", fabricOf(t, twoNICs, gave, services), []string{library, both, "problem: without a virtual network"}},
	} {
		expect(t, name, Doctor{Network: c.network, Fabric: c.Fabric}.CheckNetwork(), c.want...)
	}
}
