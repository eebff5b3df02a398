//go:build mpi && cgo

package main

import mpi "github.com/sbromberger/gompi"

func initialized() bool { return mpi.IsOn() }
