package metrics

var store = group{"The store", []family{
	whole(gauge, "spool_bytes", "What the spool takes of the disk: spool.max_bytes.",
		func(s *view) float64 { return float64(s.Store.Spool.Bytes) }),
	whole(gauge, "spool_segments", "Files of its logs.",
		func(s *view) float64 { return float64(s.Store.Spool.Segments) }),
	whole(counter, "spool_evicted_total", "Notifications that left the spool for want of room.",
		func(s *view) float64 { return float64(s.Store.Spool.Expired) }),
	whole(counter, "spool_broken_total", "Notifications met in the spool that cannot be read.",
		func(s *view) float64 { return float64(s.Store.Spool.Broken) }),
	whole(counter, "store_writes_total", "Changes made.",
		func(s *view) float64 { return float64(s.Store.Writes) }),
	whole(counter, "store_commits_total", "Transactions they took.",
		func(s *view) float64 { return float64(s.Store.Commits) }),
	whole(gauge, "store_file_bytes", "The size of feedback.db.",
		func(s *view) float64 { return float64(s.Store.FileBytes) }),
	whole(gauge, "store_damaged_files", "Files that were set aside at any time and are still there.",
		func(s *view) float64 { return float64(s.Store.DamagedFiles) }),
	whole(gauge, "store_failing_seconds", "For how long the store could not be written; 0 if it can.",
		func(s *view) float64 { return s.Store.Failing.Seconds() }),
	whole(counter, "store_failures_total", "Transactions that could not be written.",
		func(s *view) float64 { return float64(s.Store.Failures) }),
}}
