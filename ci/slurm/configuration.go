package slurm

import (
	"fmt"
	"path/filepath"
	"strings"
)

func (c *Cluster) conf() string { return filepath.Join(c.dir, "slurm.conf") }

// configuration is slurm.conf. Bounds are as short as they can be for tests: a node that is silent
// for ten seconds is down.
func (c *Cluster) configuration() string {
	hosts := c.network.Hosts()
	var s strings.Builder
	fmt.Fprintf(&s, `ClusterName=copper
SlurmctldHost=%s(%s)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
`, c.network.Front().Name(), c.network.Front().Addr())
	fmt.Fprintf(&s, `AuthInfo=socket=%[1]s/munge/socket
StateSaveLocation=%[1]s/state
SlurmdSpoolDir=%[1]s/spool/%%n
SlurmctldPidFile=%[1]s/pid/slurmctld
SlurmdPidFile=%[1]s/pid/slurmd.%%n
SlurmctldLogFile=%[1]s/log/slurmctld.log
SlurmdLogFile=%[1]s/log/slurmd.%%n.log
TmpFS=%[1]s/tmp/%%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=10
SlurmctldTimeout=10
InactiveLimit=0
KillWait=5
MinJobAge=300
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
`, c.dir)
	for _, h := range hosts {
		fmt.Fprintf(&s, "NodeName=%[1]s NodeAddr=%[2]s NodeHostname=%[1]s Port=16818 CPUs=8 State=UNKNOWN\n", h.Name(), h.Addr())
	}
	fmt.Fprintf(&s, "PartitionName=all Nodes=n[1-%d] Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES\n", len(hosts))
	return s.String()
}
