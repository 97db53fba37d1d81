package gateway

import (
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"testing"
)

// TestJA3 is about hellos of openssl s_client 3.0, recorded, and taken apart by
// another program.
func TestJA3(t *testing.T) {
	tests := []struct{ name, hello, text, want string }{
		{
			"-tls1 -cipher ALL:@SECLEVEL=0",
			"16030100890100008503014820a52f3f908d278832190d1951ba37ccdaf28829bb1718754f03c17992357b00002ec00ac0140039003800880087c019" +
				"003a0089c009c0130033003200450044c0180034004600350084002f004100ff0100002e00000006000400000178000b000403000102000a000c000a" +
				"001d0017001e00190018002300000016000000170000",
			"769,49162-49172-57-56-136-135-49177-58-137-49161-49171-51-50-69-68-49176-52-70-53-132-47-65-255,0-11-10-35-22-23,29-23-30-25-24,0-1-2",
			"4e9d43688ef48b6b1fbe71f290acfc8f",
		},
		{
			"TLS 1.3",
			"1603010124010001200303911f3ce6cd980ea29dddac17a261d7e2051fe9b239f38ee4a6db21b733843b6720c54f6a3002fd2a2ab73d3371d2009902" +
				"a4da6ad10e229b5055273834598cf35b003e130213031301c02cc030009fcca9cca8ccaac02bc02f009ec024c028006bc023c0270067c00ac0140039" +
				"c009c0130033009d009c003d003c0035002f00ff01000099000b000403000102000a00160014001d0017001e00190018010001010102010301040023" +
				"00000016000000170000000d002a0028040305030603080708080809080a080b080408050806040105010601030303010302040205020602002b0009" +
				"080304030303020301002d00020101003300260024001d0020b704cd4e52941e68011476fbb284ea83f3d7b82cfa9d760bba360273a6b2a60d",
			"771,4866-4867-4865-49196-49200-159-52393-52392-52394-49195-49199-158-49188-49192-107-49187-49191-103-49162-49172-57-49161-49171-51-157-156-61-60-53-47-255,11-10-35-22-23-13-43-45-51,29-23-30-25-24-256-257-258-259-260,0-1-2",
			"c216e752cae6f8755fd27f561d031636",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw, err := hex.DecodeString(tt.hello)
			if err != nil {
				t.Fatal(err)
			}
			a := read(t, raw)
			if got := string(a.hello.appendJA3(nil)); got != tt.text {
				t.Errorf("got  %s\nwant %s", got, tt.text)
			}
			if got := a.hello.JA3(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	t.Run("GREASE", func(t *testing.T) {
		h := Hello{OfferedVersions: []uint16{0x7a7a, tls.VersionTLS12},
			OfferedCiphers: []uint16{0x0a0a, 47, 0xfafa, 0x0afa}, OfferedPoints: []uint8{0}}
		if got, want := string(h.appendJA3(nil)), "771,47-2810,,,0"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	t.Run("without TLS", func(t *testing.T) {
		if got := (&Hello{Terminated: true}).JA3(); got != "" {
			t.Errorf("got %s", got)
		}
	})
}

// read has crypto/tls read a ClientHello, and no more.
func read(t *testing.T, hello []byte) *arrival {
	t.Helper()
	a := new(arrival)
	enough := errors.New("enough")
	ours, theirs := net.Pipe()
	defer ours.Close()
	go io.Copy(io.Discard, theirs) // alerts
	go theirs.Write(hello)
	err := tls.Server(ours, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		a.heard(h)
		return nil, enough
	}}).Handshake()
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	return a
}
