package upstream

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// dialProxy opens a TCP connection to address through the proxy.
func (t *target) dialProxy(ctx context.Context, network, address string) (net.Conn, error) {
	proxy := hostPort(t.proxy, "80")
	conn, err := new(net.Dialer).DialContext(ctx, network, proxy)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err = tunnel(conn, address, t.proxy.User)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("proxy %s: %w", proxy, err)
	}
	return conn, nil
}

// tunnel asks the proxy at the other end of conn for a connection to address.
func tunnel(conn net.Conn, address string, user *url.Userinfo) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: make(http.Header)}
	if user != nil {
		password, _ := user.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, req)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("answers CONNECT %s with %s", address, res.Status)
	}
	// TLS begins with the client: whatever is here already is not APNs.
	if in.Buffered() > 0 {
		return errors.New("sends data before it is asked")
	}
	return nil
}
