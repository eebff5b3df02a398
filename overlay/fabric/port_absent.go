//go:build !cgo || !libfabric

package fabric

// A copper that was made without libfabric's headers.

func load() (Info, error)                 { return Info{}, ErrNotBuilt }
func devices(string) ([]rawDevice, error) { return nil, ErrNotBuilt }

type port struct {
	limits  limits
	address []byte
}

func openPort(site) (*port, error) { return nil, ErrNotBuilt }

func (*port) enable(*arena) error                            { return ErrNotBuilt }
func (*port) close()                                         {}
func (*port) insert([]byte) (uint64, error)                  { return 0, ErrNotBuilt }
func (*port) remove(uint64)                                  {}
func (*port) send(uint32, int, uint64, uint64) (bool, error) { return false, ErrNotBuilt }
func (*port) wake()                                          {}
func (*port) poll([]uint32, int, []event) ([]uint32, []event, error) {
	return nil, nil, ErrNotBuilt
}
