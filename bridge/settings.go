package bridge

import "apnsbridge/bridge/settings"

// What a bridge and its apps are configured to be is said in package settings.
type (
	App         = settings.App
	Limits      = settings.Limits
	Environment = settings.Environment
	Credential  = settings.Credential
	OnBadToken  = settings.OnBadToken
)

// The names of package settings that a configuration is made with.
const (
	Production = settings.Production
	Sandbox    = settings.Sandbox
	ByListener = settings.ByListener

	ByTopic  = settings.ByTopic
	Report   = settings.Report
	Continue = settings.Continue
)
