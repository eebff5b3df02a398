package mpiboot

// world is the step's processes as MPI shows them. All methods but rank and size are collective:
// they wait for the other ranks.
type world interface {
	rank() int
	size() int
	// allgather sends record to every rank and returns everybody's, by rank. Records may differ
	// in length and may be empty. After an error the world is not usable.
	allgather(record []byte) ([][]byte, error)
	// finalize leaves MPI for good.
	finalize()
	// abort tries to end all processes of the step, this one included.
	abort(code int)
}

// alone is a world of one process, without MPI.
type alone struct{}

func (alone) rank() int                              { return 0 }
func (alone) size() int                              { return 1 }
func (alone) allgather(rec []byte) ([][]byte, error) { return [][]byte{rec}, nil }
func (alone) finalize()                              {}
func (alone) abort(int)                              {}
