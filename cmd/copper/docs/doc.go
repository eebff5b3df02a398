// Package docs writes what is installed beside a program and says what its command line says: manual
// pages, and completions for bash, zsh and fish. All of it is made from the model that the command line
// is parsed by, so that it can't differ from it. What is hidden there is not shown here.
//
// The completions are plain scripts: completing never runs the program, which may lie on a file system
// that is slow.
package docs
