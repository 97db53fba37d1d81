package courier

// A Message is what one side says to the other; one of its fields is set.
//
// A device begins with Hello. The courier answers each Register with a Token, each
// Uninstall and Erase with Done, in order, and a mistake with Trouble, after which
// it ends the connection.
type Message struct {
	Hello     *Hello `json:"hello,omitempty"`     // from the device
	Register  *App   `json:"register,omitempty"`  // from the device
	Uninstall *App   `json:"uninstall,omitempty"` // from the device
	Erase     bool   `json:"erase,omitempty"`     // from the device
	Received  int64  `json:"received,omitempty"`  // from the device: the Seq of a notification that it has

	Token        *Token        `json:"token,omitempty"`        // from the courier
	Done         bool          `json:"done,omitempty"`         // from the courier
	Notification *Notification `json:"notification,omitempty"` // from the courier
	Trouble      string        `json:"trouble,omitempty"`      // from the courier: one sentence
}

// Hello names the device, and the apps that are on it: whatever else was
// registered has been uninstalled while the device was offline. Without a list it has
// those that it had.
type Hello struct {
	Device    string `json:"device"`
	Installed []App  `json:"installed"`
}

// An App is an app on a device, by its bundle identifier, which is also the
// topic of its notifications. Environment is production or sandbox.
type App struct {
	Bundle      string `json:"bundle"`
	Environment string `json:"environment"`
}

// A Token answers Register. Its device token is in hex.
type Token struct {
	App
	Token string `json:"token"`
}

// A Notification is a push that APNs has accepted, on its way to the app.
type Notification struct {
	App
	Seq        int64  `json:"seq"` // to be acknowledged by Received
	Token      string `json:"token"`
	APNSID     string `json:"apns_id"`
	PushType   string `json:"push_type"`
	Priority   int    `json:"priority"`
	Expiration *int64 `json:"expiration,omitempty"` // epoch seconds; nil: none was given
	Payload    []byte `json:"payload"`
	Kept       bool   `json:"kept,omitempty"` // the device was offline when it was sent
}
