//go:build !(mpi && cgo)

package main

func initialized() bool { return false }
