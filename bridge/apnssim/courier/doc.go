// Package courier is the devices' side of APNs: a device keeps one TLS
// connection of its own to it, over which its apps get their device tokens and
// notifications arrive.
//
// Apple calls this server the courier. Its protocol is not public; here it is
// WebSocket with messages in JSON, see Message. What a device and an app may
// expect is Apple's (UserNotifications, "Registering your app with APNs" and
// "Sending notification requests to APNs"):
//
//   - Each app on each device has a token of its own. It changes when the device
//     is erased or the app is installed again. An update of the app, or a backup
//     restored on the same device, changes nothing.
//   - Once an app is uninstalled, a push to its token is answered with 410.
//   - For a device that is offline APNs keeps the last notification of each app,
//     until it expires. One with expiration 0 is not kept.
//
// A Phone is such a device.
package courier
