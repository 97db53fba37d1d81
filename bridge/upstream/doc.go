// Package upstream carries pushes to one endpoint of APNs and says what each
// answer means.
//
// An Upstream has connections of its own, few at first and more as they are
// needed. A Push that is given to it comes back with a Verdict, exactly once,
// unless Begin says, when its turn has come, that it is not to go after all.
// What becomes of it then is its owner's business: an Upstream never repeats a
// request.
package upstream
