package servertest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/server"
)

// Log lines that give something away are found, and others are not.
func TestLeaks(t *testing.T) {
	t.Setenv("PUSH_PASSWORD", "open sesame")
	const adminToken = "0123456789abcdef-the-admin-token"
	w := New(t, apnssim.Scenario{}, func(settings *config.Config, log io.Writer) (Gateway, error) {
		assembled, err := server.Assemble(settings)
		if err != nil {
			return nil, err
		}
		return server.New(assembled, server.Options{Log: zerolog.New(log)})
	})
	w.Send(0, w.Dial(w.ClientTLS()))
	device := Token("21", 0)
	raw := Unhex(device)
	w.Write("admin-token", []byte(adminToken+"\n"))
	w.Write("other.yaml", []byte("password: \"${PUSH_PASSWORD}\"\nadmin: {token_file: admin-token}\n"))
	key := strings.Split(string(PKI().TokenKey), "\n")[1]
	rsaKey := strings.Split(string(PKI().Server.KeyPEM), "\n")[5]
	for _, tt := range []struct {
		name, says string
		want       string // "" for nothing
	}{
		{"nothing", "serving", ""},
		{"a token", "token " + device, "64 hexadecimal digits"},
		{"one in capitals", "token " + strings.ToUpper(device), "64 hexadecimal digits"},
		{"one of no device", Token("ffff", 7), "64 hexadecimal digits"},
		{"the beginning of one", device[:16] + "…", ""},
		{"one in base64", base64.StdEncoding.EncodeToString(raw), "base64"},
		{"one in base64 for addresses", base64.RawURLEncoding.EncodeToString(raw), "base64"},
		{"a frame in base64", base64.StdEncoding.EncodeToString(append([]byte{0, 0, 32}, raw...)), "base64"},
		{"a longer frame in base64", base64.StdEncoding.EncodeToString(append([]byte{1, 0, 0, 0, 1}, raw...)), "base64"},
		{"something else in base64", base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 60))), ""},
		{"one as Go prints bytes", fmt.Sprint(raw), "in decimal"},
		{"one as JSON has an array", strings.ReplaceAll(fmt.Sprint(raw), " ", ","), "in decimal"},
		{"a client", `","sha256":"` + fmt.Sprintf("%x", sha256.Sum256(PKI().Client.Leaf.Raw)), ""},
		{"a client that is not shortened", `","client":"` + fmt.Sprintf("%x", sha256.Sum256(PKI().Client.Leaf.Raw)),
			"64 hexadecimal digits"},
		{"a token for a client", `","client":"` + device, "64 hexadecimal digits"},
		{"a token and a half", `","client":"` + device + device[:32], "64 hexadecimal digits"},
		{"a fingerprint", strings.TrimSuffix(strings.Repeat("ab:", 32), ":"), ""},
		{"a line of a .p8", key, "a secret"},
		{"a line of a key in the middle of something", "x" + rsaKey + "x", "a secret"},
		{"a key's frame", "-----BEGIN EC PRIVATE KEY-----", "a private key"},
		{"a password", `cannot read push.p12 with "open sesame"`, "a secret"},
		{"the admin token", "got " + adminToken, "a secret"},
		{"a JWT", "authorization eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJYIn0.c2ln", "a JWT"},
		{"an Authorization header", "Authorization: Bearer abcdefgh", "an Authorization header"},
		{"a payload", `{"aps":{"alert":"x"}}`, "a payload"},
		{"a payload in JSON", `{\"aps\":{\"alert\":\"x\"}}`, "a payload"},
		{"a path", w.Path("AuthKey_DEVELOPER.p8"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := leaks(w.Log.Whole()+`{"level":"info","message":"`+tt.says+"\"}\n", w.tokens(), w.secrets())
			if tt.want == "" {
				if len(got) > 0 {
					t.Errorf("got %q, want nothing", got)
				}
			} else if len(got) != 1 || !strings.Contains(got[0], tt.want) {
				t.Errorf("got %q, want exactly one leak with %q", got, tt.want)
			}
		})
	}
	if !slices.Contains(w.tokens(), device) {
		t.Error("the world does not know its own tokens")
	}
}
