package courier

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// A Banner is what a device shows of a notification, by its aps dictionary
// (Apple, "Generating a remote notification").
type Banner struct {
	Title, Subtitle, Body string
	Badge                 *int   // nil: the app's badge stays as it is
	Sound                 string // the sound's name; empty: none
	Silent                bool   // nothing is shown, the app is woken up
}

// ParseBanner reads the payload of a notification.
func ParseBanner(payload []byte) (Banner, error) {
	var all struct {
		APS *struct {
			Alert     json.RawMessage `json:"alert"`
			Badge     *int            `json:"badge"`
			Sound     json.RawMessage `json:"sound"`
			Available int             `json:"content-available"`
		} `json:"aps"`
	}
	if err := json.Unmarshal(payload, &all); err != nil {
		return Banner{}, errors.New("courier: the payload is not JSON with an aps dictionary as Apple describes it")
	}
	if all.APS == nil {
		return Banner{}, errors.New("courier: the payload has no aps dictionary")
	}
	b := Banner{Badge: all.APS.Badge}
	if err := b.alert(all.APS.Alert); err != nil {
		return b, err
	}
	if err := b.sound(all.APS.Sound); err != nil {
		return b, err
	}
	b.Silent = all.APS.Available == 1 && b.Title+b.Subtitle+b.Body+b.Sound == "" && b.Badge == nil
	return b, nil
}

// alert is a text or a dictionary.
func (b *Banner) alert(text json.RawMessage) error {
	if len(text) == 0 || json.Unmarshal(text, &b.Body) == nil {
		return nil
	}
	var parts struct {
		Title    string   `json:"title"`
		Subtitle string   `json:"subtitle"`
		Body     string   `json:"body"`
		Key      string   `json:"loc-key"`
		Args     []string `json:"loc-args"`
	}
	if json.Unmarshal(text, &parts) != nil {
		return errors.New("courier: aps.alert is neither a text nor a dictionary of texts")
	}
	b.Title, b.Subtitle, b.Body = parts.Title, parts.Subtitle, parts.Body
	if parts.Key != "" {
		// The app has the words; a device without it shows the key.
		b.Body = strings.TrimSpace(fmt.Sprintf("%s %s", parts.Key, strings.Join(parts.Args, " ")))
	}
	return nil
}

// sound is a name or a dictionary with one.
func (b *Banner) sound(text json.RawMessage) error {
	if len(text) == 0 || json.Unmarshal(text, &b.Sound) == nil {
		return nil
	}
	var parts struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(text, &parts) != nil {
		return errors.New("courier: aps.sound is neither a name nor a dictionary with one")
	}
	b.Sound = parts.Name
	return nil
}

// String is the banner in a line.
func (b Banner) String() string {
	if b.Silent {
		return "(silent: the app is woken up)"
	}
	var parts []string
	for _, text := range []string{b.Title, b.Subtitle, b.Body} {
		if text != "" {
			parts = append(parts, text)
		}
	}
	line := strings.Join(parts, ": ")
	if b.Badge != nil {
		line += fmt.Sprintf(" [badge %d]", *b.Badge)
	}
	if b.Sound != "" {
		line += fmt.Sprintf(" [sound %s]", b.Sound)
	}
	return strings.TrimSpace(line)
}
