//go:build mpi && cgo

package mpiboot

/*
#include <signal.h>
#include <string.h>

enum { boot_signals = 65 };
static struct sigaction boot_saved[boot_signals];
static char boot_known[boot_signals];

static void boot_save_actions(void) {
	for (int s = 1; s < boot_signals; s++)
		boot_known[s] = sigaction(s, NULL, &boot_saved[s]) == 0;
}

static void boot_restore_actions(void) {
	for (int s = 1; s < boot_signals; s++) {
		struct sigaction now;
		if (!boot_known[s] || sigaction(s, NULL, &now) != 0)
			continue;
		if (now.sa_sigaction != boot_saved[s].sa_sigaction || now.sa_flags != boot_saved[s].sa_flags)
			sigaction(s, &boot_saved[s], NULL);
	}
}
*/
import "C"

// keepSignalActions runs f, a call into MPI, and puts back the signal actions that it changed.
// MPICH leaves a handler without SA_ONSTACK behind, which kills a Go process when the signal
// comes; others catch SIGSEGV, which the Go runtime needs.
func keepSignalActions(f func()) {
	C.boot_save_actions()
	defer C.boot_restore_actions()
	f()
}
