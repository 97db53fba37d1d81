package config

import _ "embed"

// Schema is the JSON schema of configuration files, draft 2020-12, for editors:
// they complete keys with it, and underline what Load would refuse. A test keeps
// it that of the types.
//
//go:embed apnsbridge.schema.json
var Schema []byte
