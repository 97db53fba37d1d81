package courier

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The bounds of a directory. A payload that is kept has 5 KiB at most: 80 MiB in all.
const (
	maxDevices     = 1_000
	maxAppsOfPhone = 16
	maxName        = 255 // bytes of a device's name or of a bundle identifier
)

// directory knows which apps are on which devices, and keeps the last
// notification of each until the device has it. It has no lock, no clock and
// does no I/O.
type directory struct {
	devices map[string]*phoneApps
	byToken map[string]*registration
	seq     int64
}

// phoneApps is what a device has and had.
type phoneApps struct {
	erased int // times
	apps   map[App]*registration
}

// registration is an app on a device, also one that was there once.
type registration struct {
	device   string
	app      App
	installs int
	token    string // empty while the app is not installed
	kept     *Notification
}

func newDirectory() *directory {
	return &directory{devices: make(map[string]*phoneApps), byToken: make(map[string]*registration)}
}

// connect takes what a device says when it comes, and returns the tokens of the
// apps that it has no more.
func (d *directory) connect(h Hello) (gone []Token, err error) {
	if h.Device == "" || len(h.Device) > maxName {
		return nil, fmt.Errorf("a device's name has 1 to %d bytes, not %d", maxName, len(h.Device))
	}
	if d.devices[h.Device] == nil {
		if len(d.devices) == maxDevices {
			return nil, fmt.Errorf("%d devices are known already", maxDevices)
		}
		d.devices[h.Device] = &phoneApps{apps: make(map[App]*registration)}
	}
	if h.Installed == nil {
		return nil, nil
	}
	for app := range d.devices[h.Device].apps {
		if !slices.Contains(h.Installed, app) {
			gone = append(gone, d.uninstall(h.Device, app)...)
		}
	}
	return gone, nil
}

// register returns the app's token, and whether it is a new one.
func (d *directory) register(name string, app App) (token string, fresh bool, err error) {
	if app.Bundle == "" || len(app.Bundle) > maxName {
		return "", false, fmt.Errorf("a bundle identifier has 1 to %d bytes, not %d", maxName, len(app.Bundle))
	}
	if app.Environment != "production" && app.Environment != "sandbox" {
		return "", false, fmt.Errorf("an app's environment is production or sandbox, not %.20q", app.Environment)
	}
	of := d.devices[name]
	r := of.apps[app]
	if r == nil {
		if len(of.apps) == maxAppsOfPhone {
			return "", false, fmt.Errorf("%d apps are registered on this device already", maxAppsOfPhone)
		}
		r = &registration{device: name, app: app}
		of.apps[app] = r
	}
	if r.token == "" {
		r.installs++
		r.token = makeToken(name, of.erased, app, r.installs)
		d.byToken[r.token] = r
		return r.token, true, nil
	}
	return r.token, false, nil
}

// makeToken derives a token from all that it depends on, so that a simulator
// that starts again gives its phones the tokens that they had.
func makeToken(device string, erased int, app App, installs int) string {
	for try := 0; ; try++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%q %d %q %q %d %d",
			device, erased, app.Bundle, app.Environment, installs, try))
		token := hex.EncodeToString(sum[:])
		// The simulator takes these prefixes for bad and for dead.
		if !strings.HasPrefix(token, "bad0") && !strings.HasPrefix(token, "dead") {
			return token
		}
	}
}

// uninstall returns the token that is no more, if there was one.
func (d *directory) uninstall(name string, app App) []Token {
	r := d.devices[name].apps[app]
	if r == nil || r.token == "" {
		return nil
	}
	gone := Token{App: app, Token: r.token}
	delete(d.byToken, r.token)
	r.token, r.kept = "", nil
	return []Token{gone}
}

// erase uninstalls all, and returns the tokens that are no more.
func (d *directory) erase(name string) (gone []Token) {
	of := d.devices[name]
	for app := range of.apps {
		gone = append(gone, d.uninstall(name, app)...)
	}
	of.erased++
	clear(of.apps)
	return gone
}

// take keeps a notification until its device has it, and returns the device. No
// device: the token is not one of the courier's. Of a notification with
// expiration 0 nothing is kept.
func (d *directory) take(n *Notification) (device string) {
	r := d.byToken[n.Token]
	if r == nil {
		return ""
	}
	d.seq++
	n.Seq, n.App = d.seq, r.app
	if n.Expiration == nil || *n.Expiration != 0 {
		r.kept = n
	}
	return r.device
}

// received forgets what the device has.
func (d *directory) received(name string, seq int64) {
	for _, r := range d.devices[name].apps {
		if r.kept != nil && r.kept.Seq <= seq {
			r.kept = nil
		}
	}
}

// waiting returns what is kept for a device and has not expired, in the order in
// which it came.
func (d *directory) waiting(name string, now time.Time) []*Notification {
	var all []*Notification
	for _, r := range d.devices[name].apps {
		if r.kept == nil {
			continue
		}
		if e := r.kept.Expiration; e != nil && *e <= now.Unix() {
			r.kept = nil
			continue
		}
		n := *r.kept
		n.Kept = true
		all = append(all, &n)
	}
	slices.SortFunc(all, func(a, b *Notification) int { return int(a.Seq - b.Seq) })
	return all
}
