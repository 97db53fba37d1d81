package pushtype

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPushType(t *testing.T) {
	const app = "com.example.demo"
	tests := []struct {
		name     string
		setting  string
		topic    string
		payload  string
		priority uint8
		wantType string
		want     uint8
	}{
		{"alert", "auto", app, `{"aps":{"alert":"hi"}}`, 10, "alert", 10},
		{"alert keeps its priority", "", app, `{"aps":{"alert":"hi"}}`, 5, "alert", 5},
		{"alert and content-available", "", app, `{"aps":{"alert":"hi","content-available":1}}`, 10, "alert", 10},
		{"badge 0 is visible", "", app, `{"aps":{"badge":0,"content-available":1}}`, 10, "alert", 10},
		{"badge null is none", "", app, `{"aps":{"badge":null,"content-available":1}}`, 10, "background", 5},
		{"sound", "", app, `{"aps":{"sound":"default","content-available":1}}`, 10, "alert", 10},
		{"critical sound", "", app, `{"aps":{"sound":{"critical":1},"content-available":1}}`, 10, "alert", 10},
		{"background", "", app, `{"aps":{"content-available":1}}`, 10, "background", 5},
		{"background with empty sound", "", app, `{"aps":{"content-available":1,"sound":""}}`, 10, "background", 5},
		{"background with empty alert", "", app, `{"aps":{"content-available":1,"alert":""}}`, 10, "background", 5},
		{"background with empty alert object", "", app, `{"aps":{"content-available":1,"alert": { } }}`, 10, "background", 5},
		{"background with alert null", "", app, `{"aps":{"content-available":1,"alert":null}}`, 10, "background", 5},
		{"content-available as a string", "", app, `{"aps":{"content-available":"1"}}`, 10, "background", 5},
		{"content-available true", "", app, `{"aps":{"content-available":true}}`, 10, "background", 5},
		{"content-available 1.0", "", app, `{"aps":{"content-available":1.0}}`, 10, "background", 5},
		{"content-available 0", "", app, `{"aps":{"content-available":0}}`, 10, "alert", 10},
		{"content-available false", "", app, `{"aps":{"content-available":false}}`, 10, "alert", 10},
		{"content-available outside of aps", "", app, `{"content-available":1,"aps":{}}`, 10, "alert", 10},
		{"alert outside of aps", "", app, `{"alert":"no","aps":{"content-available":1}}`, 10, "background", 5},
		{"alert in a nested object", "", app, `{"aps":{"x":{"alert":"no"},"content-available":1}}`, 10, "background", 5},
		{"nothing", "", app, `{"aps":{}}`, 10, "alert", 10},
		{"not JSON", "", app, `hello`, 10, "alert", 10},
		{"empty", "", app, ``, 10, "alert", 10},
		{"cut short", "", app, `{"aps":{"content-available":1`, 10, "background", 5},
		{"escaped keys", "", app, `{"\u0061ps":{"content\u002Davailable":1}}`, 10, "background", 5},
		{"quotes in strings", "", app, `{"a":"\"aps\":{\\","aps":{"content-available":1}}`, 10, "background", 5},
		{"the last aps counts", "", app, `{"aps":{"alert":"x"},"aps":{"content-available":1}}`, 10, "background", 5},

		{"mdm", "", app, `{"mdm":"C7D5"}`, 10, "mdm", 10},
		{"mdm and aps", "", app, `{"mdm":"C7D5","aps":{}}`, 10, "alert", 10},
		{"mdm inside", "", app, `{"x":{"mdm":1}}`, 10, "alert", 10},
		{"mdm topic", "", "com.apple.mgmt.External.1234", `{"aps":{"content-available":1}}`, 5, "mdm", 5},
		{"mdm before a suffix", "", app + ".voip", `{"mdm":"C7D5"}`, 10, "mdm", 10},

		{"mail of a server", "", "com.apple.mail.XServer.0123-ab", `{"aps":{"account-id":"0123"}}`, 10, "background", 5},
		{"calendar of a server", "", "com.apple.calendar.XServer.0123-ab", `{"key":"/CalDAV/x"}`, 10, "background", 5},
		{"contacts of a server", "", "com.apple.contact.XServer.0123-ab", `{"key":"/CardDAV/x"}`, 10, "background", 5},
		{"device management of a server", "", "com.apple.mgmt.XServer.0123-ab", `{"mdm":"C7D5"}`, 10, "mdm", 10},
		{"like a server's", "", "com.apple.mail.XServers", `{"aps":{"alert":"x"}}`, 10, "alert", 10},
		{"a server's of somebody else", "", "com.example.mail.XServer.1", `{"aps":{"alert":"x"}}`, 10, "alert", 10},
		{"voip", "", app + ".voip", `{"aps":{"content-available":1}}`, 10, "voip", 10},
		{"pushtotalk", "", app + ".voip-ptt", `{}`, 10, "pushtotalk", 10},
		{"complication", "", app + ".complication", `{}`, 5, "complication", 5},
		{"fileprovider", "", app + ".pushkit.fileprovider", `{}`, 10, "fileprovider", 10},
		{"location", "", app + ".location-query", `{}`, 10, "location", 10},
		{"a type in the topic", "", app + ".push-type.liveactivity", `{"aps":{"content-available":1}}`, 10, "liveactivity", 10},
		{"no type in the topic", "", app + ".push-type.", `{}`, 10, "alert", 10},
		{"a type within the topic", "", app + ".push-type.x.y", `{}`, 10, "alert", 10},
		{"pass", "", "pass.com.example.ticket", `{"aps":{"alert":"x"}}`, 10, "background", 5},
		{"web", "", "web.com.example", `{"aps":{"content-available":1}}`, 10, "alert", 10},

		{"set", "voip", "pass.com.example", `{"mdm":1}`, 1, "voip", 1},
		{"set to background", "background", app, `{"aps":{"alert":"x"}}`, 10, "background", 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, priority := NewRule(tt.setting, tt.topic).Choose([]byte(tt.payload), tt.priority)
			if got != tt.wantType || priority != tt.want {
				t.Errorf("got %s, %d; want %s, %d", got, priority, tt.wantType, tt.want)
			}
		})
	}
}

// slowFacts is scan by way of encoding/json.
func slowFacts(payload []byte) (f facts, ok bool) {
	var top map[string]any
	if json.Unmarshal(payload, &top) != nil {
		return f, false
	}
	_, f.mdm = top["mdm"]
	_, f.aps = top["aps"]
	aps, _ := top["aps"].(map[string]any)
	empty := func(v any) bool {
		switch v := v.(type) {
		case nil:
			return true
		case string, []any, map[string]any:
			return reflect.ValueOf(v).Len() == 0
		}
		return false
	}
	f.visible = !empty(aps["alert"]) || aps["badge"] != nil || !empty(aps["sound"])
	switch v := aps["content-available"].(type) {
	case float64:
		f.background = v != 0
	case bool:
		f.background = v
	case string:
		f.background = strings.ContainsAny(v, "123456789") || v == "true"
	}
	return f, true
}

// jsonText draws a JSON value as text, with the keys that matter and all that
// the grammar allows around them.
func jsonValue(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		space := rapid.SampledFrom([]string{"", "", " ", "\n\t "})
		leaf := rapid.SampledFrom([]string{
			`null`, `true`, `false`, `0`, `1`, `-1`, `0.0`, `1.5e3`, `0e7`, `""`, `"1"`, `"0"`, `"x"`, `"\""`, `"\\"`, `"}"`, `"{\"aps\":1}"`, `"é\u0000"`, `{}`, `[]`,
		})
		kind := rapid.IntRange(0, 3).Draw(t, "kind")
		if depth == 0 || kind == 0 {
			return leaf.Draw(t, "leaf")
		}
		if kind == 1 {
			items := rapid.SliceOfN(jsonValue(depth-1), 0, 3).Draw(t, "items")
			return "[" + space.Draw(t, "s") + strings.Join(items, space.Draw(t, "s")+",") + "]"
		}
		key := rapid.SampledFrom([]string{
			"aps", "aps", "mdm", "alert", "badge", "sound", "content-available", "x", `a\u0070s`, `m\u0064\u006D`, `\"aps`, "apsé", `bad\u0067e`, "",
		})
		var b strings.Builder
		b.WriteString("{" + space.Draw(t, "s"))
		for i := range rapid.IntRange(0, 4).Draw(t, "n") {
			if i > 0 {
				b.WriteString("," + space.Draw(t, "s"))
			}
			b.WriteString(`"` + key.Draw(t, "key") + `"` + space.Draw(t, "s") + ":" + space.Draw(t, "s"))
			b.WriteString(jsonValue(depth-1).Draw(t, "value") + space.Draw(t, "s"))
		}
		return b.String() + "}"
	})
}

func TestScanAgreesWithEncodingJSON(t *testing.T) {
	objects := 0
	rapid.Check(t, func(t *rapid.T) {
		payload := []byte(jsonValue(4).Draw(t, "payload"))
		want, ok := slowFacts(payload)
		if !ok {
			return
		}
		objects++
		if got := scan(payload); got != want {
			t.Fatalf("%s: got %+v, want %+v", payload, got, want)
		}
	})
	if objects == 0 {
		t.Error("no object was drawn")
	}
}

// Strings of every length about what is looked at byte by byte, with an escape at each
// place, end where they end.
func TestStringsEndWhereTheyEnd(t *testing.T) {
	for length := range 3 * short {
		for at := range length + 1 {
			for _, escape := range []string{"", `\"`, `\\`, `\u0022`} {
				text := strings.Repeat("a", at) + escape + strings.Repeat("b", length-at)
				for payload, want := range map[string]facts{
					`{"aps":{"alert":"` + text + `"},"mdm":1}`: {aps: true, visible: text != "", mdm: true},
					`{"` + text + `":0,"mdm":1}`:               {mdm: true},
					`{"` + text + `":"` + text + `,"mdm":1}`:   {},
				} {
					if got := scan([]byte(payload)); got != want {
						t.Fatalf("%s: %+v, want %+v", payload, got, want)
					}
				}
			}
		}
	}
}

// Each character of a name may be written as its number, and what is no number is none.
func TestEscapedNames(t *testing.T) {
	for c := rune(0); c < 0x10000; c++ {
		for _, format := range []string{`\u%04x`, `\u%04X`} {
			got, size := firstOf(fmt.Appendf(nil, format, c))
			if c <= 0xff && (rune(got) != c || size != 6) || c > 0xff && size != 0 {
				t.Fatalf(format+" is %q of %d bytes", c, got, size)
			}
		}
	}
	for _, written := range []string{`\`, `\u`, `\u006`, `\n0061`, `\u006/`, `\u006:`, `\u006@`, `\u006G`, "\\u006`", `\u006g`} {
		if _, size := firstOf([]byte(written)); size != 0 {
			t.Errorf("%q is a character of %d bytes", written, size)
		}
	}
	for payload, want := range map[string]facts{
		`{"\u0061\u0070\u0073":{"badge":1}}`:                         {aps: true, visible: true},
		`{"aps\u0000":{"badge":1}}`:                                  {},
		`{"\"":1,"\\":"\"","mdm":1}`:                                 {mdm: true},
		`{"aps":{"content-availabl\u0065":1}}`:                       {aps: true, background: true},
		`{"aps":{"content-availabl\u0065\u0065":1}}`:                 {aps: true},
		`{"aps":{"content-available\u0065":1,"\u0073ound":"a\"\""}}`: {aps: true, visible: true},
		`{"mdm\u00e9":1,"\u00e9":1}`:                                 {},
		`{"mdm\n":1,"\u006ddm":"\\`:                                  {mdm: true},
	} {
		if got := scan([]byte(payload)); got != want {
			t.Errorf("%s: %+v, want %+v", payload, got, want)
		}
	}
}

func FuzzScanPayload(f *testing.F) {
	for _, s := range []string{
		`{"aps":{"alert":"<b>&amp;</b>"}}`,
		"{\"aps\":{\"alert\":\"bad utf8 \xff\xfe\xc0\"}}",
		"{\"aps\":{\"alert\":\"nul \x00 inside\"}}",
		`{ "aps" : { "alert" : "spaces" , "badge" : 1e2 } }   `,
		"not json at all \r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Add([]byte(`{"aps":{"content-available":1,"alert":{}},"mdm":[1,{"a":"]"}]}`))
	f.Add([]byte(`{"\u0061ps":{"badge":0}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		got := scan(payload)
		// encoding/json replaces what is not UTF-8, also in keys; no name has any.
		if want, ok := slowFacts(payload); ok && got != want {
			t.Errorf("%q: got %+v, want %+v", payload, got, want)
		}
	})
}

func TestPushTypeAllocatesNothing(t *testing.T) {
	payload := []byte(`{"aps":{"alert":{"title":"a \"title\"","body":"text"},"badge":3,"sound":"default"},"n":[1,2,{"x":"y"}],"\u0061":1}`)
	rule := NewRule("auto", "com.example.demo")
	if n := testing.AllocsPerRun(100, func() { rule.Choose(payload, 10) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkPushType(b *testing.B) {
	for name, alert := range map[string]string{"short": "You have a new message", "long": strings.Repeat("message ", 25)} {
		b.Run(name, func(b *testing.B) {
			payload := []byte(`{"aps":{"alert":"` + alert + `","badge":3,"sound":"default"},"id":"0123456789"}`)
			rule := NewRule("auto", "com.example.demo")
			b.ReportAllocs()
			for b.Loop() {
				rule.Choose(payload, 10)
			}
		})
	}
}

func TestIsUniform(t *testing.T) {
	for topic, want := range map[string]bool{
		"com.apple.mgmt.External.1": true, "com.apple.mgmt.XServer.1": true, "com.apple.mail.XServer.1": true, "com.apple.mail.XServer": true,
		"com.apple.calendar.XServer.1": true, "com.apple.contact.XServer.1": true, "pass.com.example": true,
		"com.example.mail": false, "com.apple.XServer.1": false, "com.apple..XServer": false, "web.com.example": false, "": false,
	} {
		if got := IsUniform(topic); got != want {
			t.Errorf("%s: got %v", topic, got)
		}
	}
}
