package main

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/apnssim/courier"
	"apnsbridge/cmd/apnsbridge/server"
)

// courierPort is where the simulator's devices connect.
type courierPort struct {
	courier  *courier.Courier
	listener net.Listener
	server   *http.Server
}

// startCourier listens; serve has to follow.
func startCourier(sim *apnssim.Simulator, address string, certificate tls.Certificate) (*courierPort, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, server.ListenProblem("--courier", err)
	}
	c := courier.New(sim, nil)
	return &courierPort{courier: c, listener: listener, server: &http.Server{
		Handler:           c,
		ReadHeaderTimeout: 10 * time.Second,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}}, nil
}

func (p *courierPort) address() net.Addr { return p.listener.Addr() }

func (p *courierPort) serve() error {
	err := p.server.ServeTLS(p.listener, "", "")
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (p *courierPort) close() {
	p.courier.Close()
	p.server.Close()
}
