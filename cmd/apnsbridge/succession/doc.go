// Package succession passes listening sockets from one gateway process to the next,
// so that no connection is refused between them.
//
// Sockets come from systemd (socket activation, sd_listen_fds(3)), which holds them
// while no process does, or from a predecessor that is asked for them through a
// socket in the store's directory. Either way both processes accept for a moment; the
// store's lock, which the predecessor lets go of when it has drained, says whose turn
// it is to read frames.
package succession
