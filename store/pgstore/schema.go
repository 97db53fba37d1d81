package pgstore

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed schema.sql
var schemaSQL string

//go:embed rounds.sql
var roundsSQL string

// promptVacuum makes vacuum run on the spool's tables without pauses. With the server's default pauses it frees 15 to
// 20 MB a second, no more than one busy app writes, and the tables grow for as long as it takes.
const promptVacuum = `
	alter table spool_log set (autovacuum_vacuum_cost_delay = 0);
	alter table spool_queue set (autovacuum_vacuum_cost_delay = 0)`

// migrations lead from each version of the schema to the next; the first creates it.
var migrations = []string{schemaSQL, promptVacuum, roundsSQL}

const (
	// oldestServer is the oldest PostgreSQL that is accepted.
	oldestServer = 130000

	undefinedTable = "42P01"
)

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// Setup creates the schema, or brings an older one up to date. Nothing else does, so that
// the gateways' own role needs no right to. Concurrent calls do no harm.
func Setup(ctx context.Context, c Config) error {
	config, err := c.connect()
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return fmt.Errorf("PostgreSQL cannot be reached: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := checkServer(ctx, conn); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock(hashtext('apnsbridge setup'))"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "create schema if not exists "+c.Schema); err != nil {
			return fmt.Errorf("the schema %s cannot be made: %w", c.Schema, err)
		}
		if _, err := tx.Exec(ctx, "create table if not exists meta (version int not null)"); err != nil {
			return err
		}
		version, err := schemaVersion(ctx, tx)
		if err != nil {
			return err
		}
		if version > len(migrations) {
			return newerError(c.Schema, version)
		}
		for _, step := range migrations[version:] {
			if _, err := tx.Exec(ctx, step); err != nil {
				return fmt.Errorf("the schema %s cannot be made: %w", c.Schema, err)
			}
		}
		_, err = tx.Exec(ctx, fmt.Sprintf("delete from meta; insert into meta values (%d)", len(migrations)))
		return err
	})
}

// queryer is a connection or a transaction.
type queryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// schemaVersion returns 0 if there is no schema.
func schemaVersion(ctx context.Context, q queryer) (version int, err error) {
	err = q.QueryRow(ctx, "select coalesce(max(version), 0) from meta").Scan(&version)
	var failed *pgconn.PgError
	if errors.As(err, &failed) && failed.Code == undefinedTable {
		return 0, nil
	}
	return version, err
}

func newerError(schema string, version int) error {
	return fmt.Errorf("the schema %s is of version %d and this program knows version %d: use the program that made "+
		"it, or another store.postgres.schema", schema, version, len(migrations))
}

// checkSchema refuses any version but this program's.
func checkSchema(ctx context.Context, q queryer, schema string) error {
	version, err := schemaVersion(ctx, q)
	switch {
	case err != nil:
		return fmt.Errorf("the schema %s cannot be read: %w", schema, err)
	case version == 0:
		return fmt.Errorf("the schema %s is not there: run apnsbridge check --setup", schema)
	case version < len(migrations):
		return fmt.Errorf("the schema %s is of version %d and this program needs version %d: run apnsbridge check "+
			"--setup", schema, version, len(migrations))
	case version > len(migrations):
		return newerError(schema, version)
	}
	return nil
}

// checkServer refuses a server that can lose what it has acknowledged, and returns warnings
// about settings that its operator should reconsider.
func checkServer(ctx context.Context, q queryer) (warnings []string, err error) {
	var version int
	var fsync, fullPages, standbys string
	err = q.QueryRow(ctx, "select current_setting('server_version_num')::int, current_setting('fsync'), "+
		"current_setting('full_page_writes'), "+
		"current_setting('synchronous_standby_names')").Scan(&version, &fsync, &fullPages, &standbys)
	switch {
	case err != nil:
		return nil, fmt.Errorf("PostgreSQL cannot be asked for its settings: %w", err)
	case version < oldestServer:
		return nil, fmt.Errorf("PostgreSQL is of version %d and must be %d at least", version/10000, oldestServer/10000)
	case fsync != "on":
		return nil, errors.New("PostgreSQL has fsync = off, and would lose what it has acknowledged: switch it on")
	case fullPages != "on":
		return nil, errors.New("PostgreSQL has full_page_writes = off, and could not be recovered after a crash: " +
			"switch it on")
	}
	if standbys == "" {
		warnings = append(warnings, "PostgreSQL has no synchronous standby (synchronous_standby_names is empty): a "+
			"failover may forget what was acknowledged")
	}
	return warnings, nil
}
