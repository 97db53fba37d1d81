package story

// Topic is the app's.
const Topic = "com.example.demo"

// Settings is the configuration of a gateway with one app: Topic and the endpoint are to be filled in.
const Settings = `gateway: {listen: "127.0.0.1:0"}
feedback: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
tls: {certificate: server.pem, key: server-key.pem}
apps:
  demo:
    topic: %s
    endpoint: %s
    endpoint_ca: ca.pem
    credential:
      token: {key: AuthKey_DEVELOPER.p8, key_id: DEVELOPER1, team_id: DEMOTEAM01}
    clients:
      - {ca: ca.pem, uid: com.example.demo}
`
