package bridge

import "apnsbridge/bridge/settings"

// The configuration of a bridge and its apps. Package settings documents it.
type (
	App         = settings.App
	Limits      = settings.Limits
	Environment = settings.Environment
	Credential  = settings.Credential
	OnBadToken  = settings.OnBadToken
)

// The constants of package settings that a configuration needs.
const (
	Production = settings.Production
	Sandbox    = settings.Sandbox
	ByListener = settings.ByListener

	ByTopic  = settings.ByTopic
	Report   = settings.Report
	Continue = settings.Continue
)
