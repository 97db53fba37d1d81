package servertest

// App is the settings of an app that all tests of clients use, with a verb for the endpoint.
const App = `{endpoint: %q, endpoint_ca: ca.pem, credential: {token: {key: AuthKey_DEVELOPER.p8, key_id: DEVELOPER1, team_id: DEMOTEAM01}}}`
