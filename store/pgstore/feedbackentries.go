package pgstore

import "time"

// entries are rows of a table; each token occurs once.
type entries struct {
	at        map[string]int
	tokens    [][]byte
	found     []int64
	revisions []int64
	since     int64 // of all rows
}

func newEntries(now time.Time) *entries {
	return &entries{at: make(map[string]int), since: millis(now)}
}

func (e *entries) put(token []byte, found, revision int64) {
	i, ok := e.at[string(token)]
	if !ok {
		e.at[string(token)] = len(e.tokens)
		e.tokens, e.found, e.revisions = append(e.tokens, append([]byte(nil), token...)), append(e.found, found),
			append(e.revisions, revision)
		return
	}
	e.found[i], e.revisions[i] = found, revision
}

func (c *change) write(table string, e *entries) error {
	_, err := c.tx.Exec(c.ctx, "insert into "+table+`
		select $1, t, f, $5, r from unnest($2::bytea[], $3::bigint[], $4::bigint[]) as x (t, f, r)
		on conflict (app, token) do update
		set found = excluded.found, since = excluded.since, revision = excluded.revision`,
		c.app, e.tokens, e.found, e.revisions, e.since)
	return err
}
