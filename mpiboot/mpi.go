//go:build mpi && cgo

package mpiboot

/*
#include <mpi.h>
#include <stdlib.h>
#include <time.h>

// What gompi lacks: the thread level, return codes, a wait that leaves the core to others, and allgather.

static int boot_init(int *provided) {
	int rc = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, provided);
	// By default MPI ends the process instead of returning an error.
	return rc != MPI_SUCCESS ? rc : MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
}

// boot_longest is the greatest length of all ranks, once they all have come. Ranks wait for the slowest, and MPI's
// own waits keep a core busy each: where daemons are starting, that is taken from them.
static int boot_longest(int mine, int *longest) {
	const long most = 1000000;
	struct timespec pause = {0, 50000};
	MPI_Request request;
	int rc = MPI_Iallreduce(&mine, longest, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD, &request);
	for (int done = 0; rc == MPI_SUCCESS && !done;) {
		rc = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
		if (done)
			break;
		nanosleep(&pause, NULL);
		pause.tv_nsec = pause.tv_nsec * 2 < most ? pause.tv_nsec * 2 : most;
	}
	return rc;
}

static int boot_allgather_lengths(int mine, int *all) {
	return MPI_Allgather(&mine, 1, MPI_INT, all, 1, MPI_INT, MPI_COMM_WORLD);
}

static int boot_allgather(void *mine, int length, void *all, int *lengths, int *starts) {
	return MPI_Allgatherv(mine, length, MPI_BYTE, all, lengths, starts, MPI_BYTE, MPI_COMM_WORLD);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"unsafe"

	mpi "github.com/sbromberger/gompi"
	"golang.org/x/sys/unix"
)

// The main goroutine starts on the main thread and stays there until finalize.
func init() { runtime.LockOSThread() }

// mpiWorld is MPI_COMM_WORLD.
type mpiWorld struct{ myRank, worldSize int }

// join initializes MPI and checks that it sees the step that the launcher started. MPI itself
// ends the process, with words of its own, if it cannot be initialized.
func join(env environment, watch *watch) (world, error) {
	if err := onMainThread(); err != nil {
		return nil, err
	}
	if mpi.IsOn() {
		return nil, errors.New("mpiboot: MPI is initialized already: Start can be called once")
	}
	var provided, rc C.int
	watch.over(waitJoin, func() { keepSignalActions(func() { rc = C.boot_init(&provided) }) })
	if rc != C.MPI_SUCCESS {
		return nil, mpiError("MPI_Init_thread", rc)
	}
	w := &mpiWorld{myRank: mpi.WorldRank(), worldSize: mpi.WorldSize()}
	err := env.agree(w.worldSize, libraryName())
	if err == nil && provided < C.MPI_THREAD_FUNNELED {
		err = fmt.Errorf("MPI offers thread level %d, but a process with several threads needs MPI_THREAD_FUNNELED (%d)",
			int(provided), int(C.MPI_THREAD_FUNNELED))
	}
	if err != nil {
		watch.over(waitLeave, w.finalize)
		return nil, err
	}
	return w, nil
}

func (w *mpiWorld) rank() int { return w.myRank }
func (w *mpiWorld) size() int { return w.worldSize }

// allgather waits until all ranks have come, then exchanges the lengths and the records, if there are
// any: MPI has no collectives that are both fast and without a busy wait. The buffers are C's: a network library may
// keep a registration of their pages, and does not see when the Go heap gives pages back.
func (w *mpiWorld) allgather(record []byte) ([][]byte, error) {
	if err := onMainThread(); err != nil {
		return nil, err
	}
	if len(record) > maxRecord {
		return nil, fmt.Errorf("record of %d bytes, at most %d", len(record), maxRecord)
	}
	// Two tables of one int a rank: how long each record is, and where it starts; and the longest.
	ints := C.malloc(C.size_t(2*w.worldSize+1) * C.sizeof_int)
	defer C.free(ints)
	table := unsafe.Slice((*C.int)(ints), 2*w.worldSize+1)
	lengths, starts, longest := table[:w.worldSize], table[w.worldSize:2*w.worldSize], &table[2*w.worldSize]
	var rc C.int
	keepSignalActions(func() { rc = C.boot_longest(C.int(len(record)), longest) })
	if rc != C.MPI_SUCCESS {
		return nil, mpiError("MPI_Iallreduce", rc)
	}
	if *longest == 0 {
		return make([][]byte, w.worldSize), nil
	}
	keepSignalActions(func() { rc = C.boot_allgather_lengths(C.int(len(record)), &lengths[0]) })
	if rc != C.MPI_SUCCESS {
		return nil, mpiError("MPI_Allgather", rc)
	}
	total := 0
	for rank, n := range lengths {
		if n < 0 || n > maxRecord {
			return nil, fmt.Errorf("rank %d announces a record of %d bytes, at most %d", rank, n, maxRecord)
		}
		if total > math.MaxInt32-int(n) {
			return nil, fmt.Errorf("the records of %d ranks are more than MPI can count", w.worldSize)
		}
		starts[rank] = C.int(total)
		total += int(n)
	}
	mine, all := C.CBytes(record), C.malloc(C.size_t(max(total, 1)))
	received := unsafe.Slice((*byte)(all), total)
	defer func() {
		clear(unsafe.Slice((*byte)(mine), len(record))) // the secret is in rank 0's
		clear(received)
		C.free(mine)
		C.free(all)
	}()
	keepSignalActions(func() {
		rc = C.boot_allgather(mine, C.int(len(record)), all, &lengths[0], &starts[0])
	})
	if rc != C.MPI_SUCCESS {
		return nil, mpiError("MPI_Allgatherv", rc)
	}
	records := make([][]byte, w.worldSize)
	for rank, n := range lengths {
		start := int(starts[rank])
		records[rank] = append([]byte(nil), received[start:start+int(n)]...)
	}
	return records, nil
}

// finalize leaves MPI and lets the main goroutine go where it likes.
func (w *mpiWorld) finalize() {
	keepSignalActions(mpi.Stop)
	runtime.UnlockOSThread()
}

func (w *mpiWorld) abort(code int) {
	if onMainThread() == nil {
		mpi.NewCommunicator(nil).Abort(code)
	}
}

// onMainThread enforces what MPI_THREAD_FUNNELED asks for.
func onMainThread() error {
	if unix.Gettid() != os.Getpid() {
		return errors.New("mpiboot: to be called from the main goroutine: MPI belongs to the main thread")
	}
	return nil
}

// mpiError is MPI's own text for a return code.
func mpiError(call string, code C.int) error {
	var length C.int
	text := (*C.char)(C.calloc(C.MPI_MAX_ERROR_STRING, 1))
	defer C.free(unsafe.Pointer(text))
	if C.MPI_Error_string(code, text, &length) != C.MPI_SUCCESS {
		return fmt.Errorf("%s: MPI error %d", call, int(code))
	}
	return fmt.Errorf("%s: %s", call, oneLine(C.GoString(text)))
}

// libraryName is the name and version of the MPI library, "Open MPI v4.1.4" or "MPICH 4.0.2".
func libraryName() string {
	var length C.int
	text := (*C.char)(C.calloc(C.MPI_MAX_LIBRARY_VERSION_STRING, 1))
	defer C.free(unsafe.Pointer(text))
	if C.MPI_Get_library_version(text, &length) != C.MPI_SUCCESS {
		return "an unknown MPI"
	}
	line, _, _ := strings.Cut(C.GoString(text), "\n")
	line, _, _ = strings.Cut(line, ",")
	return strings.Join(strings.Fields(strings.Replace(line, " Version:", "", 1)), " ")
}
