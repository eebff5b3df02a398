// Package storetest holds what tests of any [store.Source] need: the conformance suite that every
// Source passes, a small tree in memory that counts and fails on demand, and a Source made of
// plain system calls.
package storetest
