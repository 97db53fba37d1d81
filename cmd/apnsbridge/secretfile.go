package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"apnsbridge/bridge/upstream"
	"apnsbridge/cmd/apnsbridge/config"
)

// mostFile is what a certificate, a key or a token may have, in bytes.
const mostFile = 1 << 20

// errKeyAsPath is told in place of a path that is the text of a key.
var errKeyAsPath = errors.New("the text of a key stands where the name of its file should: write the text to a file, and name that")

// readFile reads a file that the configuration names. Its errors never show what
// looks like the text of a key.
func (a *assembly) readFile(name string) ([]byte, error) {
	if config.IsKeyText(name) {
		return nil, errKeyAsPath
	}
	return readSmall(a.config.Path(name))
}

// readSmall reads a file of at most mostFile bytes.
func readSmall(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, mostFile+1))
	if err == nil && len(text) > mostFile {
		err = fmt.Errorf("%s is longer than %d MiB: no certificate or key is", path, mostFile>>20)
	}
	return text, err
}

// keyText is the key of a token: the text itself, as a container gets it in a
// variable, also with \n for the ends of its lines, or what the file of that name
// has.
func (a *assembly) keyText(key string) ([]byte, error) {
	if !config.IsKeyText(key) {
		return a.readFile(key)
	}
	if !strings.Contains(key, "\n") {
		key = strings.ReplaceAll(key, `\n`, "\n")
	}
	return []byte(key), nil
}

// openPatience is for the password of one .p12 file. What of its iterations is
// itself encrypted is seen by nobody before.
const openPatience = 10 * time.Second

// openCertificate reads a .p12 or PEM file.
func openCertificate(file []byte, password string) (*upstream.Credential, error) {
	if block, _ := pem.Decode(file); block == nil {
		if err := checkIterations(file); err != nil {
			return nil, err
		}
	}
	type opened struct {
		credential *upstream.Credential
		err        error
	}
	done := make(chan opened, 1)
	go func() {
		credential, err := upstream.NewCertificateCredential(file, password)
		done <- opened{credential, err}
	}()
	patience := time.NewTimer(openPatience)
	defer patience.Stop()
	select {
	case o := <-done:
		return o.credential, o.err
	case <-patience.C:
		return nil, fmt.Errorf("the .p12 file takes longer than %v to open: export it anew, with the number of iterations that its program sets by itself", openPatience)
	}
}
