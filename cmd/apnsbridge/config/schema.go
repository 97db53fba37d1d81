package config

import _ "embed"

// Schema is the JSON schema of configuration files, draft 2020-12, for editors: with it
// they complete keys, and underline what Load would refuse. A test keeps it in step with
// the types.
//
//go:embed apnsbridge.schema.json
var Schema []byte
