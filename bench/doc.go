// Package bench holds the benchmarks and, in its README, the method behind
// every figure that the project publishes.
package bench
