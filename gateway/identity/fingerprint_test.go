package identity

import (
	"strings"
	"testing"
)

func TestParseFingerprint(t *testing.T) {
	const digits = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff"
	const colons = "00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13:14:15:16:17:18:19:1a:1b:1c:1d:1e:ff"
	for name, in := range map[string]string{"digits": digits, "colons": colons,
		"as openssl prints": strings.ToUpper(colons)} {
		f, err := ParseFingerprint(in)
		if err != nil || f.String() != colons {
			t.Errorf("%s: got %v and error %v, want %s", name, f, err, colons)
		}
	}
	for name, in := range map[string]string{
		"empty": "", "SHA-1": digits[:40], "too long": digits + "00", "no digit": "g" +
			digits[1:], "ends in a colon": colons + ":",
		"colons elsewhere": strings.Replace(colons, "01:02", "010:2", 1), "one colon": colons[:3] +
			digits[2:], "base64": strings.Repeat("A", 43) + "=",
		"with its name": "sha256 Fingerprint=" + colons, "blanks": strings.ReplaceAll(colons, ":", " "),
	} {
		if f, err := ParseFingerprint(in); err == nil || !strings.Contains(err.Error(), "64 hexadecimal digits") {
			t.Errorf("%s: got %v and error %v, want one that says what to give", name, f, err)
		}
	}
}

// What is accepted is printed the same, but for colons and case.
func FuzzParseFingerprint(f *testing.F) {
	f.Add(strings.Repeat("0f", 32))
	f.Add(Fingerprint{1, 2, 3}.String())
	f.Fuzz(func(t *testing.T, in string) {
		got, err := ParseFingerprint(in)
		if err != nil {
			return
		}
		plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, ":", "")) }
		if plain(got.String()) != plain(in) {
			t.Errorf("got %v for %q", got, in)
		}
	})
}
