// Command spy is a rank of a job step beside those of `copper serve`. It goes through the same bootstrap,
// so that it learns the job's secret, leaves that in the file that it is given, and ends:
//
//	mpirun -n 2 copper serve … : -n 1 spy FILE
//
// Nobody but a test wants to know the secret: it looks for it in all places where it must not be.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/copper-hpc/copper/mpiboot"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: spy FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "spy:", err)
		os.Exit(1)
	}
}

func run(file string) error {
	boot, err := mpiboot.Start()
	if err != nil {
		return err
	}
	// The version is that of the daemons; nobody listens at the endpoint.
	roster, err := boot.Exchange(mpiboot.Card{Version: 1, Endpoints: []string{"tcp://127.0.0.1:1"}, Mount: "/nonexistent/spy"})
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(file, roster.Secret[:], 0o600), boot.Ready(nil))
}
