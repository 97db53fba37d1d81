package servertest

// App is what all apps of whoConfig have in common.
const App = `{endpoint: %q, endpoint_ca: ca.pem, credential: {token: {key: AuthKey_DEVELOPER.p8, key_id: DEVELOPER1, team_id: DEMOTEAM01}}}`
