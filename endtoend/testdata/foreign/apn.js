// Sends notifications with the npm package apn 1.6 or 1.7 and prints what the
// library reports, a line of JSON an event. It ends when its input ends.
//
//   node --no-deprecation apn.js MODULE '{"port": …, "cert": …, "key": …, "ca": …}' < notifications
//
// A notification is a line: a device token, a space, an alert.
"use strict";

const apn = require(process.argv[2]);
const options = JSON.parse(process.argv[3]);

const connection = new apn.Connection({
	address: "127.0.0.1",
	port: options.port,
	cert: options.cert,
	key: options.key,
	ca: [options.ca],
	cacheLength: options.cacheLength || 1000,
	maxConnections: 1,
});

function print(event, fields) {
	process.stdout.write(JSON.stringify(Object.assign({ event }, fields)) + "\n");
}

connection.on("transmissionError", (status, notification, device) =>
	print("transmissionError", { status, token: device ? device.toString() : "" }));
connection.on("transmitted", () => print("transmitted"));
connection.on("connected", () => print("connected"));
connection.on("disconnected", () => print("disconnected"));
connection.on("cacheTooSmall", (missing) => print("cacheTooSmall", { missing }));
connection.on("error", (error) => print("error", { text: String(error) }));
connection.on("socketError", (error) => print("socketError", { text: String(error) }));

require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
	const [token, alert] = line.split(" ");
	const notification = new apn.Notification();
	notification.alert = alert;
	notification.expiry = Math.floor(Date.now() / 1000) + 3600;
	connection.pushNotification(notification, new apn.Device(token));
}).on("close", () => process.exit(0));
