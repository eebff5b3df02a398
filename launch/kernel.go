package launch

// KernelStatus is what a node's kernel and a mount on it agreed upon.
type KernelStatus struct {
	Release   string          `json:"release"`   // of Linux
	Protocol  string          `json:"protocol"`  // of FUSE, such as "7.34"
	Request   int             `json:"request"`   // the largest READ, in bytes
	Readahead int             `json:"readahead"` // by the kernel, in bytes
	Features  []KernelFeature `json:"features"`
}

// KernelFeature is something that newer kernels can and that Copper makes use of. Without one of them
// every answer is the same, after more requests.
type KernelFeature struct {
	Name    string `json:"name"`
	Without string `json:"without"` // what is slower where it is missing
	Have    bool   `json:"have"`
}

// missing are the features that the kernel lacks.
func (k KernelStatus) missing() (lacks []KernelFeature) {
	for _, f := range k.Features {
		if !f.Have {
			lacks = append(lacks, f)
		}
	}
	return lacks
}
