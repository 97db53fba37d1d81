package provider_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"

	"apnsbridge/binproto"
	"apnsbridge/gateway/devpki"
	"apnsbridge/gateway/provider"
)

// A careful provider sends three notifications to a gateway that refuses the second: what
// stands behind it is sent again over another connection.
func ExampleClient_Send() {
	pki, err := devpki.Create("com.example.mail")
	if err != nil {
		panic(err)
	}
	gateway := listen(pki)
	defer gateway.Close()
	go refuseBadTokens(gateway)

	certificate, err := pki.Client.TLS()
	if err != nil {
		panic(err)
	}
	client := provider.Client{
		Addr:   gateway.Addr().String(),
		TLS:    &tls.Config{RootCAs: pki.Pool(), Certificates: []tls.Certificate{certificate}},
		Number: true,
		Quiet:  -1,
		Packet: func(p provider.Packet) { fmt.Printf("notification %d: %v\n", p.Index, p.Status) },
	}
	var notes []binproto.Notification
	for _, token := range []string{"a", "bad", "c"} {
		notes = append(notes, binproto.Notification{Command: binproto.Enhanced,
			Token: fmt.Appendf(nil, "%-32s", token), Payload: []byte(`{"aps":{"alert":"Hello"}}`)})
	}
	report, err := client.Send(context.Background(), slices.Values(notes))
	fmt.Println(report.Taken, "taken,", report.Failed, "failed, written again:", report.Resent > 0, err)
	// Output:
	// notification 1: invalid token
	// 3 taken, 1 failed, written again: true <nil>
}

// listen is a gateway's port.
func listen(pki *devpki.PKI) net.Listener {
	certificate, err := pki.Server.TLS()
	if err != nil {
		panic(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate},
		ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12})
	if err != nil {
		panic(err)
	}
	return l
}

// refuseBadTokens is as much of a gateway as it takes to refuse: it reads a connection to its
// end or to the first bad token, which it names.
func refuseBadTokens(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		var stream []byte
		buffer := make([]byte, 4096)
		for refused := false; err == nil; {
			var n int
			n, err = conn.Read(buffer)
			stream = append(stream, buffer[:n]...)
			for size := 1; size > 0 && !refused; {
				var note binproto.Notification
				if size, _ = binproto.DefaultParser().Parse(stream, &note); size > 0 && string(note.Token[:3]) == "bad" {
					refused = true
					conn.Write(binproto.Response{Status: binproto.InvalidToken, Identifier: note.Identifier}.Append(nil))
					conn.(*tls.Conn).CloseWrite()
				}
				stream = stream[size:]
			}
		}
		if err != io.EOF {
			fmt.Println(err)
		}
		conn.Close()
	}
}
