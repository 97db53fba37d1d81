package main

import (
	"io"

	"apnsbridge/cmd/apnsbridge/config"
)

// printSchema writes the schema that editors complete and check configurations
// with.
func printSchema(out io.Writer) error {
	_, err := out.Write(config.Schema)
	return err
}
