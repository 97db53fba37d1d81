//go:build race

package main

// raced says that the race detector runs, which needs several times the memory.
const raced = true
