package launch

import (
	"fmt"
	"slices"
	"strings"
)

// slingshot is a step's share of a Slingshot network, as the launcher tells it to libfabric.
type slingshot struct {
	vnis     []string // virtual networks; libfabric takes the first
	devices  []string
	services []string // those of the driver, one for each device
	tcs      string   // traffic classes

	step string // the launcher's variable by which this is known to be a step; "": it is none
}

func slingshotOf(getenv func(name string) string) slingshot {
	list := func(name string) []string {
		return strings.FieldsFunc(getenv(name), func(r rune) bool { return r == ',' || r == ' ' })
	}
	s := slingshot{
		vnis: list("SLINGSHOT_VNIS"), devices: list("SLINGSHOT_DEVICES"), services: list("SLINGSHOT_SVC_IDS"), tcs: getenv("SLINGSHOT_TCS"),
	}
	// A batch script has most of Slurm's variables too, but for these.
	for _, name := range []string{"SLURM_STEP_NUM_TASKS", "PALS_RANKID"} {
		if getenv(name) != "" {
			s.step = name
			break
		}
	}
	return s
}

// told tells whether the launcher says anything at all.
func (s slingshot) told() bool { return len(s.vnis)+len(s.devices)+len(s.services) > 0 }

// String is what the launcher says.
func (s slingshot) String() string {
	part := func(name string, values ...string) string {
		if len(values) == 0 || values[0] == "" {
			return name + " not set"
		}
		return name + "=" + strings.Join(values, ",")
	}
	return strings.Join([]string{part("SLINGSHOT_VNIS", s.vnis...), part("SLINGSHOT_DEVICES", s.devices...),
		part("SLINGSHOT_SVC_IDS", s.services...), part("SLINGSHOT_TCS", s.tcs)}, " ")
}

// check reports in what the launcher's words do not agree with each other, or with the use of a device; "": of
// any. Where it says nothing at all, libfabric looks for a service that is open to the user.
func (s slingshot) check(device string) error {
	switch {
	case !s.told():
		return nil
	case len(s.vnis) == 0:
		return fmt.Errorf("the launcher gave this step CXI devices without a virtual network (%s)", s)
	case len(s.devices) == 0 || len(s.services) == 0:
		return fmt.Errorf("the launcher gave this step a virtual network without CXI devices and services (%s)", s)
	case len(s.devices) != len(s.services):
		return fmt.Errorf("the launcher named %s and %s for them: SLINGSHOT_DEVICES=%s, SLINGSHOT_SVC_IDS=%s",
			count(len(s.devices), "CXI device"), count(len(s.services), "service"), strings.Join(s.devices, ","), strings.Join(s.services, ","))
	case device != "" && !slices.Contains(s.devices, device):
		return fmt.Errorf("the launcher gave this step no service at %s: SLINGSHOT_DEVICES=%s", device, strings.Join(s.devices, ","))
	}
	return nil
}

// share is what the launcher says of one device.
func (s slingshot) share(device string) string {
	i := slices.Index(s.devices, device)
	if i < 0 || i >= len(s.services) || len(s.vnis) == 0 {
		return "no VNI told by the launcher"
	}
	return fmt.Sprintf("VNI %s, service %s", s.vnis[0], s.services[i])
}
