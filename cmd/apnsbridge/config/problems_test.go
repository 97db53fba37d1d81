package config

import (
	"regexp"
	"strings"
	"testing"
)

// foreign matches words of Go and of the YAML library.
var foreign = regexp.MustCompile(`config\.|ast\.|yaml\.|\bstruct\b|unmarshal|reflect|strconv|netip|\[\d+:\d+\]|\bint(64)?\b|\bfloat`)

const fleet = `store: {postgres: {url: postgres://apns@db1/apns}}
fleet: {node: gw1, listen: "10.0.0.1:2194", certificate: gw1.pem, key: gw1-key.pem, ca: fleet-ca.pem}
`

func TestProblems(t *testing.T) {
	for _, tt := range []struct {
		name, replace, with string
		want                string // the whole of one line of the error
	}{
		{"unknown key at the top", "apps:", "storage: x\napps:", `f:2: unknown key "storage": did you mean store?`},
		{"unknown key below", "    clients:", "    clint: x\n    clients:",
			`f:7: unknown key "clint": did you mean clients?`},
		{"unknown limit", "apps:", "limits: {windows: 3}\napps:", `f:2: unknown key "windows": did you mean window?`},
		{"unlike any key", "apps:", "frobnicate: x\napps:",
			`f:2: unknown key "frobnicate": correct its name or remove it`},
		{"nested too deep", "    clients:\n      - {cidr: 10.1.0.0/16}",
			"      clients:\n        - {cidr: " +
				"10.1.0.0/16}", `f:7: credential has no key clients: it belongs to apps.NAME`},
		{"nested too little", "    clients:", "clients:",
			`f:7: the top of the file has no key clients: it belongs to apps.NAME`},
		{"a section of the top below another", "apps:", "gateway:\n  listen: \":1\"\n  spool: {mode: off}\napps:",
			`f:4: gateway has no key spool: it belongs to the top of the file, without indentation`},
		{"dashes for underscores", "token: {key: ", "token: {key-id: x, key: ",
			`f:6: unknown key "key-id": did you mean key_id?`},
		{"a choice mistyped", "com.example.mail", "a\n    environment: sandbx",
			`f:5: "sandbx" is not possible here: did you mean sandbox? choose production, sandbox, by-listener`},
		{"yes for a word", "com.example.mail", "a\n    strict: maybe",
			`f:5: "maybe" is neither yes nor no: write true or false`},
		{"a path behind the endpoint", "com.example.mail", "a\n    endpoint: https://h:1/3/device",
			`f:5: "https://h:1/3/device" must be like https://HOST:PORT: take away what stands behind the port`},
		{"Apple's other endpoint", "com.example.mail", "a\n    environment: sandbox\n    endpoint: " +
			"https://api.push.apple.com:2197", `f:6: api.push.apple.com is APNs' production, and the environment is sandbox: correct one of them, or remove endpoint`},
		{"one of Apple's endpoints for both", "com.example.mail", "a\n    environment: by-listener\n    endpoint: " +
			"https://api.push.apple.com:2197", `f:6: api.push.apple.com is APNs' production, and the environment is by-listener: write both, as endpoint: {production: https://api.push.apple.com:2197, sandbox: https://api.sandbox.push.apple.com:2197}, or remove endpoint`},
		{"Apple's sandbox by its older name", "com.example.mail", "a\n    endpoint: https://api.development.push.apple.com",
			`f:5: api.development.push.apple.com is APNs' sandbox, and the environment is production: correct one of them, ` +
				`or remove endpoint`},
		{"Apple's production with a dot behind", "com.example.mail",
			"a\n    environment: sandbox\n    endpoint: https://API.push.apple.com.",
			`f:6: api.push.apple.com. is APNs' production, and the environment is sandbox: correct one of them, ` +
				`or remove endpoint`},
		{"Apple's endpoints exchanged", "com.example.mail",
			"a\n    environment: by-listener\n    endpoint:\n      production: https://api.sandbox.push.apple.com\n" +
				"      sandbox: https://api.push.apple.com", `f:7: api.sandbox.push.apple.com is APNs' sandbox, and the environment is production: correct one of them, or remove endpoint`},
		{"an endpoint where nothing goes", "com.example.mail", "a\n    environment: sandbox\n    endpoint: {production: " +
			"https://h:1}", `f:6: the app's environment is sandbox, so that nothing goes there: correct one of them, or remove production`},
		{"an empty endpoint of two", "com.example.mail", "a\n    environment: by-listener\n    endpoint: {production: \"\"}",
			`f:6: apps.mail.endpoint.production is missing: give an address like https://HOST:PORT, or remove it for Apple's`},
		{"an endpoint with a path of two", "com.example.mail",
			"a\n    environment: by-listener\n    endpoint: {sandbox: https://h/3/device}",
			`f:6: "https://h/3/device" must be like https://HOST:PORT: take away what stands behind the port`},
		{"a third environment", "com.example.mail", "a\n    endpoint: {staging: https://h}",
			`f:5: unknown key "staging": correct its name or remove it`},
		{"a list of endpoints", "com.example.mail", "a\n    endpoint: [https://h]",
			`f:5: endpoint has keys of its own, and here stands a list: write them below it, indented, like production: …`},
		{"a pattern for a topic", "com.example.mail", "com.example.*",
			`f:4: "com.example.*" is a pattern for several apps: name the whole bundle identifier of one`},
		{"curly quotes", "com.example.mail", "“com.example.mail”",
			`f:4: "“com.example.mail”" has characters that no topic has: write the bundle identifier, like com.example.mail`},
		{"a variable without braces", "com.example.mail", "$TOPIC",
			`f:4: "$TOPIC" has characters that no topic has: write the bundle identifier, like com.example.mail`},
		{"a variable with one brace", "com.example.mail", "${TOPIC",
			`f:4: "${TOPIC" has characters that no topic has: write the bundle identifier, like com.example.mail`},
		{"a line break written out", "com.example.mail", `com.example.mail\n`,
			`f:4: "com.example.mail\\n" has characters that no topic has: write the bundle identifier, like com.example.mail`},
		{"a line break in a topic", "com.example.mail", `"com.example.mail\n"`,
			`f:4: "(several lines)" has characters that no topic has: write the bundle identifier, like com.example.mail`},
		{"a dot behind a topic", "com.example.mail", "com.example.mail.",
			`f:4: "com.example.mail." has a dot too many: write the bundle identifier, like com.example.mail`},
		{"two dots in a topic", "com.example.mail", "com..example",
			`f:4: "com..example" has a dot too many: write the bundle identifier, like com.example.mail`},
		{"a long topic", "com.example.mail", strings.Repeat("x", 256), `f:4: "` + strings.Repeat("x", 60) +
			`…" is longer than any topic: write the bundle identifier, like com.example.mail`},
		{"from_certificate", "com.example.mail", "from_certificate",
			`f:4: "from_certificate" is no topic: did you mean from-certificate?`},
		{"two ports in one place", "apps:", "gateway: {listen: \"127.0.0.1:1\"}\nfeedback: {listen: " +
			"\"127.0.0.1:1\"}\napps:", `f:3: feedback.listen has port 1, as gateway.listen: give each a port of its own`},
		{"a port too high", "apps:", "gateway: {listen: \":70000\"}\napps:",
			`f:2: ":70000" has no port that can be: choose one from 1 to 65535`},
		{"a SHA-1 fingerprint", "{cidr: 10.1.0.0/16}", "{sha256: 0123456789012345678901234567890123456789}",
			`f:8: "0123456789012345678901234567890123456789" is a SHA-1 fingerprint: print the other one with openssl x509 -noout -fingerprint -sha256`},
		{"half a fingerprint", "{cidr: 10.1.0.0/16}", "{sha256: \"ab:cd\"}",
			`f:8: "ab:cd" is no SHA-256 fingerprint: give 64 hexadecimal digits, as openssl x509 -noout -fingerprint -sha256 prints them`},
		{"a key for its file", "key: server-key.pem", "key: \"-----BEGIN PRIVATE KEY-----\"",
			`f:1: key is the text of a file, and has to be the file's name: put the text into a file that only its owner may read`},
		{"a home folder", "AuthKey_ABC123.p8", "~/AuthKey_ABC123.p8",
			`f:6: key begins with ~/, which only a shell understands: write the whole path`},
		{"a text for a section", "    credential:\n      token: {key: AuthKey_ABC123.p8, key_id: ABC123DEFG, " +
			"team_id: DEF123GHIJ}", "    credential: " +
			"push.p12", `f:5: credential has keys of its own, and here stands a value: write token: or certificate: below it; several keys are a list below token`},
		{"a list of credentials", "    credential:\n      token:", "    credential:\n      - token:",
			`f:5: credential has keys of its own, and here stands a list: write token: or certificate: below it; several keys are a list below token`},
		{"a list of apps", "apps:\n  mail:", "apps:\n  - mail:",
			`f:2: apps has keys of its own, and here stands a list: write them below it, indented, like NAME: …`},
		{"the text of a key for its name", "key_id: ABC123DEFG", "key_id: \"-----BEGIN PRIVATE KEY-----\"",
			`f:6: key_id is the text of a key, and has to be its name of ten characters: the text, or its file's name, belongs to key`},
		{"a proxy with a path", "com.example.mail", "com.example.mail\n    proxy: http://user:secret@proxy/path",
			`f:5: "http://xxx@proxy/path" must be like http://HOST:PORT: take away what stands behind the port`},
		{"a proxy with a token", "com.example.mail", "com.example.mail\n    proxy: http://proxy?password=secret",
			`f:5: "http://proxy?xxx" must be like http://HOST:PORT: take away what stands behind the port`},
		{"a proxy's port too high", "com.example.mail", "com.example.mail\n    proxy: http://user:secret@proxy:70000",
			`f:5: "http://xxx@proxy:70000" has no port that can be: choose one from 1 to 65535`},
		{"an endpoint that is the old gateway", "com.example.mail",
			"com.example.mail\n    endpoint: https://gateway.sandbox.push.apple.com:2195",
			`f:5: gateway.sandbox.push.apple.com is what providers connect to, and Apple has switched it off: remove endpoint`},
		{"a topic that is a key", "com.example.mail", "MIGH" + strings.Repeat("A", 200),
			`f:4: "(the text of a key)" has characters that no topic has: write the bundle identifier, like com.example.mail`},
		{"a topic that is an address", "com.example.mail", "https://example.com",
			`f:4: "https://example.com" has characters that no topic has: write the bundle identifier, like com.example.mail`},
		{"a name over two lines", "  mail:", "  \"mail\\nbox\":",
			`f:3: an app's name has at most 100 bytes, and no line breaks: give it a short one`},
		{"YAML's nothing for yes or no", "com.example.mail", "com.example.mail\n    doubt: ~",
			`f:5: doubt is ~, YAML's word for nothing: put it in quotes, or remove the key`},
		{"YAML's nothing for a list of addresses", "apps:", "gateway: {listen: null}\napps:",
			`f:2: listen is null, YAML's word for nothing: put it in quotes, or remove the key`},
		{"half a password behind a comma", "com.example.mail", "com.example.mail\n    endpoint: {production: a,secret}",
			`f:5: a value in endpoint has a comma in it, which ends the value here: put the value in quotes`},
		{"a section for a text", "com.example.mail", "{name: com.example.mail}",
			`f:4: topic takes one value, and here stand keys of their own (name): write the value behind topic:, in quotes if it begins with {`},
		{"a list for a text", "com.example.mail", "[a, b]",
			`f:4: topic takes one value, and here stands a list: write the value behind topic:, in quotes if it begins with [`},
		{"nothing for a text", "topic: com.example.mail", "topic:",
			`f:4: topic is empty: give it a value, in quotes if it begins with !, or remove the key`},
		{"null for a text", "com.example.mail", "null",
			`f:4: topic is null, YAML's word for nothing: put it in quotes, or remove the key`},
		{"a text over two lines", "com.example.mail", "com.example\n      .mail",
			`f:4: topic goes on in the next line: put its value in one line`},
		{"a tab", "    topic:", "\ttopic:",
			`f:4: the line begins with a tab, and YAML wants blanks: replace the tab with blanks`},
		{"blanks from a web page", "    topic:", "\u00a0   topic:",
			`f:4: the line begins with no-break spaces, as web pages have them: replace them with blanks`},
		{"indented unlike its neighbours", "    credential:", "   credential:", ""},
		{"no blank behind the colon", "topic: com", "topic:com", ""},
		{"no colon at all", minimal, "hello",
			`f:1: the line is no key with a value: write KEY: VALUE, with a blank behind the colon`},
		{"a tag", "com.example.mail", "!mail x",
			`f:4: topic begins with !, which has a meaning in YAML: put the value in quotes`},
		{"an alias of nothing", "com.example.mail", "*mail",
			`f:4: topic begins with *, which has a meaning in YAML: put the value in quotes`},
		{"no variable", "com.example.mail", "${1x}",
			`f:4: ${1x} is no variable: write ${NAME}, ${NAME:-DEFAULT}, or $${1x} for the text itself`},
		{"unset variable", "com.example.mail", `"${NOWHERE}"`,
			`f:4: the environment variable NOWHERE is not set: set it, or write the value here`},
		{"empty variable", "com.example.mail", `"${EMPTY}"`,
			`f:4: apps.mail.topic is missing: name the app's bundle identifier, or from-certificate`},
		{"no certificate", "certificate: server.pem, ", "", "f:1: tls.certificate is missing: name the PEM file " +
			"that providers are shown; `apnsbridge certs` makes one for trying out"},
		{"a choice", "com.example.mail", "a\n    environment: prod",
			`f:5: "prod" is not possible here: did you mean production? choose production, sandbox, by-listener`},
		{"a size", "apps:", "limits: {window: 1, queued_bytes: 64MB}\napps:",
			`f:2: "64MB" is no size: write a positive number of bytes, or one with KiB, MiB or GiB`},
		{"a huge size", "apps:", "limits: {queued_bytes: 99999999999TiB}\napps:",
			`f:2: limits.queued_bytes is at most 64GiB`},
		{"a fleet without a spool", "apps:", fleet + "spool: {mode: off}\napps:", "f:4: a node of a fleet needs a " +
			"spool: what waits goes with its app to the next node. Choose overflow or always"},
		{"a node that cannot be reached", "apps:", strings.Replace(fleet, "10.0.0.1", "0.0.0.0", 1) + "apps:",
			`f:3: "0.0.0.0:2194" is no address at which the other nodes reach this one: write one, like 10.0.0.1:2194`},
		{"a node without a name", "apps:", strings.Replace(fleet, "gw1,", "'gw:1',", 1) + "apps:",
			`f:3: "gw:1" cannot name a node: use at most 32 letters, digits, dots and dashes`},
		{"a fleet without PostgreSQL", "apps:", fleet[strings.Index(fleet, "fleet:"):] + "apps:",
			`f:1: store.postgres.url is missing: name the fleet's PostgreSQL, like postgres://apns@db1,db2/apns`},
		{"PostgreSQL without a fleet", "apps:", fleet[:strings.Index(fleet, "fleet:")] + "apps:", "f:2: PostgreSQL is for " +
			"several gateways that are one: say under fleet which node this is, or remove it"},
		{"no such schema", "apps:", strings.Replace(fleet, "apns}", "apns, schema: A B}", 1) + "apps:",
			`f:2: "A B" cannot name a schema: use small letters, digits and _`},
		{"a claim shorter than a lease", "apps:", fleet + "limits: {fleet_claim: 5s}\napps:",
			"f:4: 5s is less than fleet_lease, 6s: a dead node's app cannot be claimed earlier"},
		{"a count", "apps:", "limits: {window: 0}\napps:", `f:2: "0" is no count: write a whole number from 1`},
		{"a duration", "apps:", "limits: {drain: 30}\napps:",
			`f:2: "30" is no duration: write one like 10s, 5m, 24h or 90d`},
		{"a rate", "apps:", "limits: {handshake_rate_per_address: 500}\napps:",
			`f:2: "500" is no rate: write one like 500/s, 600/m or 1000/h, up to 1000000`},
		{"a rate of nothing", "apps:", "limits: {handshake_rate_per_address: 0/s}\napps:",
			`f:2: "0/s" is no rate: write one like 500/s, 600/m or 1000/h, up to 1000000`},
		{"a token longer than the store keeps", "apps:", "limits: {token_bytes: 32..1025}\napps:",
			`f:2: limits.token_bytes is at most 1024`},
		{"more devices than memory bears", "apps:", "limits: {waiting_devices: 10000001}\napps:",
			`f:2: limits.waiting_devices is at most 10000000`},
		{"more topics", "apps:", "limits: {topics_per_app: 100001}\napps:",
			`f:2: limits.topics_per_app is at most 100000`},
		{"more than all for a device", "apps:", "limits: {spool_device_share: 101 %}\napps:",
			`f:2: "101 %" is no share: write one like 10 %, from 1 % to 100 %`},
		{"a reserve beyond any disk", "apps:", "limits: {spool_reserve: 2TiB}\napps:",
			`f:2: limits.spool_reserve is at most 1TiB`},
		{"a range", "apps:", "limits: {token_bytes: 100..32}\napps:",
			`f:2: "100..32" is no range: write two numbers like 32..100`},
		{"an address", "apps:", "gateway: {listen: [\":1\", nonsense]}\napps:",
			`f:2: "nonsense" is no address: write HOST:PORT or :PORT`},
		{"an unknown key in an address", "apps:", "gateway: {listen: [{adress: x}]}\napps:",
			`f:2: unknown key "adress": did you mean address?`},
		{"a proxy that is no address", "apps:", "gateway:\n  listen:\n    - {address: \":1\",\n       " +
			"proxy_protocol: [127.0.0.1,\n       " +
			"proxy]}\napps:", `f:6: "proxy" is neither an address nor a network: write one like 127.0.0.1 or 10.0.0.0/8`},
		{"no proxy at all", "apps:", "gateway:\n  listen:\n    address: \":1\"\n    proxy_protocol: []\napps:",
			`f:5: the list is empty: name the addresses of the programs in front, or take proxy_protocol out`},
		{"not an address", "{certificate: server.pem", "{terminated: [127.0.0.1, localhost], certificate: server.pem",
			`f:1: "localhost" is neither an address nor a network: write one like 127.0.0.1 or 10.0.0.0/8`},
		{"no listener", "apps:", "gateway: {listen: []}\napps:", `f:2: the list is empty: name an address like :2195`},
		{"no clients", "    clients:\n      - {cidr: 10.1.0.0/16}\n", "",
			`f:3: nobody may speak for this app: add a certificate's sha256, a ca or a cidr under clients`},
		{"two ways in one client", "{cidr: 10.1.0.0/16}",
			"{cidr: 10.1.0.0/16, sha256: " +
				"abababababababababababababababababababababababababababababababab}", `f:8: a client has 2 of sha256, spki_sha256, ca and cidr: give each way to be admitted an entry of its own`},
		{"a network", "10.1.0.0/16", "10.1.0.0", `f:8: "10.1.0.0" is no network: write one like 10.1.0.0/16`},
		{"uid without ca", "{cidr: 10.1.0.0/16}", "{cidr: 10.1.0.0/16, uid: x}",
			`f:8: uid goes with ca or spki_sha256 only: a pin or a cidr already says who it is`},
		{"an empty uid", "{cidr: 10.1.0.0/16}", "{ca: ca.pem,\n         uid: \"\", any: true}",
			`f:9: uid is empty: give it a value or remove it`},
		{"a uid out of an empty variable", "{cidr: 10.1.0.0/16}", "{ca: ca.pem,\n         uid: \"${EMPTY}\", any: " +
			"true}", `f:9: uid is empty: give it a value or remove it`},
		{"a cidr beside an empty pin", "{cidr: 10.1.0.0/16}", "{cidr: 10.1.0.0/16,\n         sha256: \"${EMPTY}\"}",
			`f:9: sha256 is empty: give it a value or remove it`},
		{"a ca alone", "{cidr: 10.1.0.0/16}", "{ca: ca.pem}",
			`f:8: a ca without uid admits every certificate of it: add the uid of the client's certificate, or any: true if that is meant`},
		{"uid and any", "{cidr: 10.1.0.0/16}", "{ca: ca.pem, uid: x, any: true}",
			`f:8: there are uid and any: keep uid to admit one client, or any to admit every certificate of the ca`},
		{"any without ca", "{cidr: 10.1.0.0/16}",
			"{sha256: abababababababababababababababababababababababababababababababab, any: " +
				"true}", `f:8: any goes with ca only: it admits every certificate of the ca`},
		{"a key that names its topic", "apps:", "apps:\n  key: {topic: from-certificate, credential: {certificate: " +
			"{file: a}}, clients: [{spki_sha256: " +
			"abababababababababababababababababababababababababababababababab}]}", `f:3: whoever has this key writes its certificates, and any topic into them: add topics beside the pin, pin the certificate with sha256, or set the app's topic`},
		{"topics of a certificate", "{cidr: 10.1.0.0/16}",
			"{sha256: abababababababababababababababababababababababababababababababab, topics: " +
				"[x]}", `f:8: topics goes with spki_sha256 only: elsewhere the certificate or the app says it`},
		{"no topics", "{cidr: 10.1.0.0/16}",
			"{spki_sha256: abababababababababababababababababababababababababababababababab, topics: " +
				"[]}", `f:8: the list is empty: name the topics that the key's owner may push to, or remove it`},
		{"an empty topic", "{cidr: 10.1.0.0/16}",
			"{spki_sha256: abababababababababababababababababababababababababababababababab, topics: " +
				"[\"${EMPTY}\"]}", `f:8: a topic is empty: give it a value or remove it`},
		{"no credential", "      token: {key: AuthKey_ABC123.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}\n",
			"      token:\n", `f:5: the app has no credential for APNs: add token or certificate under credential`},
		{"an endpoint", "com.example.mail", "a\n    endpoint: http://x",
			`f:5: "http://x" is no address: write one that begins with https://`},
		{"an open admin port", "apps:", "admin: {listen: \":9195\"}\napps:",
			`f:2: others than this machine can reach ":9195": keep to 127.0.0.1:9195, or say under admin who may ask, with a token, or with certificate, key and client_ca`},
		{"an admin port that shows a certificate to everybody", "apps:",
			"admin: {listen: \"10.0.0.1:9195\", certificate: a, key: " +
				"b}\napps:", `f:2: others than this machine can reach "10.0.0.1:9195": keep to 127.0.0.1:9195, or say under admin who may ask, with a token, or with certificate, key and client_ca`},
		{"a name may be any address", "apps:", "admin: {listen: \"localhost.example:9195\"}\napps:",
			`f:2: others than this machine can reach "localhost.example:9195": keep to 127.0.0.1:9195, or say under admin who may ask, with a token, or with certificate, key and client_ca`},
		{"a token that was not set", "apps:", "admin:\n  token: \"${EMPTY}\"\napps:",
			`f:3: admin.token is empty: give it a value or remove it`},
		{"a CA that was not set", "apps:", "admin: {client_ca: \"${EMPTY}\"}\napps:",
			`f:2: admin.client_ca is empty: give it a value or remove it`},
		{"two tokens", "apps:", "admin: {token: a, token_file: b}\napps:",
			`f:2: there are two tokens: keep token or token_file`},
		{"a CA without TLS", "apps:", "admin: {client_ca: a}\napps:",
			`f:2: admin.certificate is missing: name the PEM file that operators are shown`},
		{"a certificate without its key", "apps:", "admin: {certificate: a}\napps:",
			`f:2: admin.key is missing: name the PEM file with the certificate's key`},
		{"no admin address", "apps:", "admin: {listen: nonsense}\napps:",
			`f:2: "nonsense" is no address: write HOST:PORT or :PORT`},
		{"not YAML", "apps:", "apps: [", ""},
		{"a second document", "apps:", "---\napps:", `f:2: a second document begins here: keep to one`},
		{"the same key twice", "apps:", "tls: {}\napps:", `f:2: tls stands in f:1 already: keep one of them`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(minimal, tt.replace, tt.with, 1)
			if text == minimal {
				t.Fatal("the case changes nothing")
			}
			_, err := parse("f", []byte(text), environment)
			if err == nil {
				t.Fatal("got no error")
			}
			if foreign.MatchString(err.Error()) {
				t.Errorf("%q uses words that only programmers understand", err)
			}
			lines := strings.Split(err.Error(), "\n")
			for _, line := range lines {
				if line == tt.want || tt.want == "" && strings.HasPrefix(line, "f:") && len(lines) == 1 {
					return
				}
			}
			t.Errorf("got %q, want a line %q", err, tt.want)
		})
	}
}
