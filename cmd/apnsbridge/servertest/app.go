package servertest

// App is what the apps of the server's tests of clients have in common. It is a format for the endpoint.
const App = `{endpoint: %q, endpoint_ca: ca.pem, credential: {token: {key: AuthKey_DEVELOPER.p8, key_id: DEVELOPER1, team_id: DEMOTEAM01}}}`
