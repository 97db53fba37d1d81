package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/gateway/provider"
)

type feedbackCommand struct {
	Feedback    address `default:"127.0.0.1:2196" placeholder:"HOST:PORT" help:"The feedback service."`
	clientFlags `embed:""`
	JSON        bool `name:"json" help:"Print an object a line: {\"time\":epoch,\"token\":hex}."`
}

// Help is the command's example.
func (feedbackCommand) Help() string {
	return `Prints the devices from which the app has gone, a line each: when APNs found
out, and the device token. What has been read is off the list.

Example:

  apnsbridge feedback --feedback localhost:2196 --cert client.pem --key client-key.pem --ca ca.pem`
}

// Run reads the list once.
func (c feedbackCommand) Run(ctx context.Context, std streams) error {
	config, err := c.tls()
	if err != nil {
		return err
	}
	// Each line is written at once: what the service takes off its list once we
	// have closed is out by then, or an error has kept the list whole.
	print := func(t binproto.Tuple) error {
		_, err := fmt.Fprintf(std.out, "%s %x\n", time.Unix(int64(t.Time), 0).UTC().Format(time.RFC3339), t.Token)
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(std.out)
		print = func(t binproto.Tuple) error {
			return encoder.Encode(struct {
				Time  uint32 `json:"time"`
				Token string `json:"token"`
			}{t.Time, hex.EncodeToString(t.Token)})
		}
	}
	if _, err = provider.ReadFeedback(ctx, string(c.Feedback), config, print); err != nil {
		return clientProblem(err)
	}
	return nil
}
