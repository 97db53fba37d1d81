package main

import "strings"

const agreementBase = `gateway: {listen: "127.0.0.1:0"}
feedback: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
tls: {certificate: server.pem, key: server-key.pem}
store: {path: data}
apps:
  mail:
    topic: com.example.demo
    environment: production
    credential: {token: {key: AuthKey_DEVELOPER.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}
    clients: [{ca: ca.pem, uid: com.example.demo}]
  chat:
    topic: com.example.chat
    credential: {certificate: {file: chat.pem}}
    clients: [{cidr: 10.1.0.0/16}]
`

// mistakes are mistakes that people make in a configuration: a text and what it becomes. Those
// with held stop only one app, not the gateway.
var mistakes = []struct {
	name, old, with string
	held            bool
}{
	{"unknown section", "store:", "storage: {}\nstore:", false},
	{"unknown key", "environment:", "enviroment:", false},
	{"key of another section", "environment: production", "min_version: x", false},
	{"nested too deep", "    clients: [{cidr", "      clients: [{cidr", false},
	{"nested too little", "    environment: production\n", "environment: production\n", false},
	{"a tab", "    environment", "\tenvironment", false},
	{"no-break spaces", "    environment", "\u00a0   environment", false},
	{"no blank behind the colon", "topic: com.example.demo", "topic:com.example.demo", false},
	{"no colon", "topic: com.example.demo", "topic", false},
	{"a colon in a value", "topic: com.example.demo", "topic: a: b", false},
	{"the same key twice", "store: {path: data}", "store: {path: data}\nstore: {path: data}", false},
	{"the same app twice", "  chat:", "  mail:", false},
	{"a second document", "apps:", "---\napps:", false},
	{"a quote that does not end", "topic: com.example.demo", "topic: \"com.example.demo", false},
	{"a bracket that does not end", "clients: [{ca: ca.pem, uid: com.example.demo}]", "clients: [{ca: ca.pem", false},
	{"a tag", "topic: com.example.demo", "topic: !com x", false},
	{"an alias", "topic: com.example.demo", "topic: *com", false},
	{"a reserved character", "topic: com.example.demo", "topic: @com", false},
	{"null", "topic: com.example.demo", "topic: null", false},
	{"nothing", "topic: com.example.demo", "topic:", false},
	{"two lines", "topic: com.example.demo", "topic: com.example\n      .demo", false},
	{"a list for a text", "topic: com.example.demo", "topic: [a, b]", false},
	{"a section for a text", "topic: com.example.demo", "topic: {a: b}", false},
	{"a text for a section", "{token: {key: AuthKey_DEVELOPER.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}",
		"AuthKey_DEVELOPER.p8", false},
	{"an unset variable", "topic: com.example.demo", "topic: ${APNSBRIDGE_NOWHERE}", false},
	{"no variable", "topic: com.example.demo", "topic: ${1}", false},
	{"a pattern for a topic", "topic: com.example.demo", "topic: com.example.*", false},
	{"curly quotes", "topic: com.example.demo", "topic: “com.example.demo”", false},
	{"from_certificate", "topic: com.example.demo", "topic: from_certificate", false},
	{"no topic", "    topic: com.example.demo\n", "", false},
	{"an environment", "environment: production", "environment: prod", false},
	{"a push type", "environment: production", "push_type: alerts", false},
	{"a bad token's way", "environment: production", "on_bad_token: ignore", false},
	{"neither yes nor no", "environment: production", "strict: maybe", false},
	{"an endpoint without https", "environment: production", "endpoint: http://x", false},
	{"an endpoint with a path", "environment: production", "endpoint: https://x/3/device", false},
	{"an endpoint with a port too high", "environment: production", "endpoint: https://x:70000", false},
	{"Apple's other endpoint", "environment: production", "endpoint: https://api.sandbox.push.apple.com", false},
	{"no credential", "    credential: {certificate: {file: chat.pem}}\n", "", false},
	{"two credentials", "{certificate: {file: chat.pem}}",
		"{certificate: {file: chat.pem}, token: {key: a, key_id: b, team_id: c}}", false},
	{"no key_id", "key_id: ABC123DEFG, ", "", false},
	{"no clients", "    clients: [{cidr: 10.1.0.0/16}]\n", "", false},
	{"two ways in one client", "{cidr: 10.1.0.0/16}", "{cidr: 10.1.0.0/16, ca: ca.pem}", false},
	{"uid without ca", "{cidr: 10.1.0.0/16}", "{cidr: 10.1.0.0/16, uid: x}", false},
	{"a ca alone", "{ca: ca.pem, uid: com.example.demo}", "{ca: ca.pem}", false},
	{"an empty uid", "uid: com.example.demo", "uid: \"\"", false},
	{"uid and any", "uid: com.example.demo", "uid: com.example.demo, any: true", false},
	{"any without ca", "{cidr: 10.1.0.0/16}", "{cidr: 10.1.0.0/16, any: true}", false},
	{"no network", "10.1.0.0/16", "10.1", false},
	{"half a fingerprint", "{cidr: 10.1.0.0/16}", "{sha256: \"ab:cd\"}", false},
	{"a SHA-1 fingerprint", "{cidr: 10.1.0.0/16}", "{sha256: 0123456789012345678901234567890123456789}", false},
	{"no such ca", "ca: ca.pem", "ca: gone.pem", false},
	{"a key for a ca", "ca: ca.pem", "ca: server-key.pem", false},
	{"the same network in two apps", "[{ca: ca.pem, uid: com.example.demo}]", "[{cidr: 10.0.0.0/8}]", false},
	{"no such server certificate", "certificate: server.pem", "certificate: gone.pem", false},
	{"another's server key", "key: server-key.pem", "key: client-key.pem", false},
	{"certificate and key exchanged", "certificate: server.pem, key: server-key.pem",
		"certificate: server-key.pem, key: server.pem", false},
	{"certificates besides", "tls: {", "tls: {certificates: [{certificate: server.pem, key: server-key.pem}], ", false},
	{"certificates without a key", "tls: {certificate: server.pem, key: server-key.pem}",
		"tls: {certificates: [{certificate: server.pem}]}", false},
	{"no such second certificate", "tls: {certificate: server.pem, key: server-key.pem}",
		"tls: {certificates: [{certificate: server.pem, key: server-key.pem}, " +
			"{certificate: gone.pem, key: gone.pem}]}", false},
	{"a limit too high", "store:", "limits: {loops: 65}\nstore:", false},
	{"a share", "store:", "limits: {app_connections_share: 10}\nstore:", false},
	{"a TLS version", "tls: {", "tls: {min_version: 1.4, ", false},
	{"a spool mode", "store:", "spool: {mode: maybe}\nstore:", false},
	{"a size", "store:", "spool: {max_bytes: 1GB}\nstore:", false},
	{"a count", "store:", "limits: {window: 0}\nstore:", false},
	{"a duration", "store:", "limits: {drain: 30}\nstore:", false},
	{"a rate", "store:", "limits: {handshake_rate_per_address: 500}\nstore:", false},
	{"a range", "store:", "limits: {token_bytes: 100..32}\nstore:", false},
	{"an address", `gateway: {listen: "127.0.0.1:0"}`, "gateway: {listen: nonsense}", false},
	{"a port too high", `gateway: {listen: "127.0.0.1:0"}`, `gateway: {listen: ":70000"}`, false},
	{"an address of another machine", `gateway: {listen: "127.0.0.1:0"}`, `gateway: {listen: "192.0.2.1:0"}`, false},
	{"an open admin port", `admin: {listen: "127.0.0.1:0"}`, `admin: {listen: ":0"}`, false},
	{"a short admin token", `admin: {listen: "127.0.0.1:0"}`, `admin: {listen: "127.0.0.1:0", token: x}`, false},
	{"a store in a file", "path: data", "path: server.pem", false},
	{"a store below a file", "path: data", "path: server.pem/data", false},
	{"a store where nothing can be made", "path: data", "path: /proc/apnsbridge", false},
	{"a store below a device", "path: data", "path: /dev/null/data", false},
	{"a store behind a link to nothing", "path: data", "path: nowhere/data", false},
	{"a store in a name too long", "path: data", "path: " + strings.Repeat("a", 300), false},
	{"no such include", "store:", "include: gone.yaml\nstore:", false},
	{"no such apps_dir", "store:", "apps_dir: gone\nstore:", false},
	{"a key's text for its file", "key: server-key.pem", "key: \"-----BEGIN\"", false},
	{"a key's text cut short", "key: AuthKey_DEVELOPER.p8", "key: \"-----BEGIN PRIVATE KEY-----\"", true},
	{"no such key", "AuthKey_DEVELOPER.p8", "gone.p8", true},
	{"a certificate for a key", "AuthKey_DEVELOPER.p8", "ca.pem", true},
	{"a key without its certificate", "file: chat.pem", "file: client-key.pem", true},
	{"an expired certificate", "file: chat.pem", "file: expired.pem", true},
	{"another app's certificate", "topic: com.example.chat", "topic: com.example.other", true},
	{"no such endpoint_ca", "environment: production", "endpoint_ca: gone.pem", true},
	{"a key for an endpoint_ca", "environment: production", "endpoint_ca: server-key.pem", true},
	{"a certificate as Apple's site gives it", "file: chat.pem", "file: aps.cer", true},
	{"a Java key store", "file: chat.pem", "file: push.jks", true},
	{"another password", "file: chat.pem", "file: chat.p12, password: wrong", true},
	{"no password", "file: chat.pem", "file: chat.p12", true},
	{"a folder for a key", "AuthKey_DEVELOPER.p8", "folder", true},
	{"an empty file", "AuthKey_DEVELOPER.p8", "empty", true},
	{"a picture", "file: chat.pem", "file: picture.p12", true},
	{"a port that another program has", `gateway: {listen: "127.0.0.1:0"}`, `gateway: {listen: "TAKEN"}`, false},
	{"the feedback port that another program has", `feedback: {listen: "127.0.0.1:0"}`, `feedback: {listen: "TAKEN"}`,
		false},
	{"a file that includes itself", "store:", "include: apnsbridge.yaml\nstore:", false},
	{"a dry run that is no choice", "environment: production", "dry_run: maybe", false},
}

// lapses are mistakes that cause a warning only: everything is still served.
var lapses = []struct{ name, old, with, says string }{
	{"an expired server certificate", "certificate: server.pem, key: server-key.pem",
		"certificate: lapsed.pem, key: lapsed-key.pem", "expired on"},
	{"a server certificate without Apple's names", "certificate: server.pem, key: server-key.pem",
		"certificate: client.pem, key: client-key.pem", "gateway.push.apple.com"},
	{"a key_id with a blank", "key_id: ABC123DEFG", "key_id: 'ABC 123DEF'", "ten capital letters and digits"},
	{"a team_id for a key_id", "key_id: ABC123DEFG", "key_id: DEF123GHIJ", "the key_id once more"},
	{"a team before the topic", "topic: com.example.demo", "topic: DEF123GHIJ.com.example.demo", "not part of a topic"},
	{"a topic without a dot", "topic: com.example.demo", "topic: demo", "no dot"},
	{"everybody", "{cidr: 10.1.0.0/16}", "{cidr: 0.0.0.0/0}", "everybody"},
	{"a dry run that was forgotten", "environment: production", "dry_run: true", "goes nowhere"},
	{"by-listener without listeners", "environment: production", "environment: by-listener", "by-listener"},
}
