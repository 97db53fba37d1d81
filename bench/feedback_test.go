package bench

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

var long = flag.Bool("long", false, "run the long rounds")

const app = "mail"

var ctx = context.Background()

// sizes returns the lengths of the feedback lists that are measured.
func sizes() []int {
	if *long {
		return []int{1_000, 100_000, 1_000_000}
	}
	return []int{1_000, 100_000}
}

// dead returns n devices, numbered from first on, with tokens that are as scattered
// as real ones.
func dead(first, n int) []store.Dead {
	list := make([]store.Dead, n)
	for i := range list {
		token := make([]byte, 32)
		binary.BigEndian.PutUint64(token, uint64(first+i)*0x9e3779b97f4a7c15)
		list[i] = store.Dead{Token: token, Time: time.Unix(1_795_000_000, 0)}
	}
	return list
}

// fill records n devices, in batches as the bridge writes them.
func fill(b *testing.B, f store.Feedback, n int) {
	b.Helper()
	for i := 0; i < n; i += 1000 {
		if err := f.Record(ctx, app, dead(i, min(1000, n-i))...); err != nil {
			b.Fatal(err)
		}
	}
}

func open(b *testing.B, dir string) *boltstore.Store {
	b.Helper()
	s, err := boltstore.Open(dir, boltstore.Options{FeedbackEntries: 2_000_000})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkFeedbackRecord adds devices to a list that has some already, in one call
// and so in one commit.
func BenchmarkFeedbackRecord(b *testing.B) {
	for _, entries := range sizes() {
		for _, batch := range []int{1, 256} {
			b.Run(fmt.Sprintf("entries=%d/batch=%d", entries, batch), func(b *testing.B) {
				s := open(b, b.TempDir())
				defer s.Close()
				f := s.Feedback()
				fill(b, f, entries)
				next := entries
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					news := dead(next, batch)
					next += batch
					b.StartTimer()
					if err := f.Record(ctx, app, news...); err != nil {
						b.Fatal(err)
					}
				}
				perEntry(b, batch)
			})
		}
	}
}

// BenchmarkFeedbackRecordAgain records a device that is on the list already, which
// every push to a dead device does.
func BenchmarkFeedbackRecordAgain(b *testing.B) {
	s := open(b, b.TempDir())
	defer s.Close()
	fill(b, s.Feedback(), 100_000)
	again := dead(5, 1)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Feedback().Record(ctx, app, again...); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFeedbackGrow fills an empty list.
func BenchmarkFeedbackGrow(b *testing.B) {
	for _, entries := range sizes() {
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) {
			var size int64
			b.ReportAllocs()
			for b.Loop() {
				dir := b.TempDir()
				s := open(b, dir)
				fill(b, s.Feedback(), entries)
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				info, err := os.Stat(filepath.Join(dir, "feedback.db"))
				if err != nil {
					b.Fatal(err)
				}
				size = info.Size()
			}
			perEntry(b, entries)
			b.ReportMetric(float64(size)/float64(entries), "filebytes/entry")
		})
	}
}

// BenchmarkFeedbackOpen opens a store with a list.
func BenchmarkFeedbackOpen(b *testing.B) {
	for _, entries := range sizes() {
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) {
			dir := b.TempDir()
			s := open(b, dir)
			fill(b, s.Feedback(), entries)
			s.Close()
			b.ReportAllocs()
			for b.Loop() {
				s := open(b, dir)
				if got := s.Stats().FeedbackEntries; got != entries {
					b.Fatalf("got %d entries, want %d", got, entries)
				}
				s.Close()
			}
			perEntry(b, entries)
		})
	}
}

// sink is a reader that reads everything as fast as it comes.
type sink struct{ bytes int }

func (s *sink) Write(tuples []byte) error { s.bytes += len(tuples); return nil }
func (s *sink) Finish() (bool, error)     { return true, nil }
func (s *sink) Acknowledged() bool        { return true }

func tuple(b []byte, d store.Dead) []byte {
	return binproto.Tuple{Time: uint32(d.Time.Unix()), Token: d.Token}.Append(b)
}

// BenchmarkFeedbackDrain gives a whole list to a reader and forgets it; "unconfirmed"
// only gives it.
func BenchmarkFeedbackDrain(b *testing.B) {
	for _, entries := range sizes() {
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) {
			s := open(b, b.TempDir())
			defer s.Close()
			drainer := store.NewDrainer(s.Feedback(), tuple, time.Now)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				fill(b, s.Feedback(), entries)
				b.StartTimer()
				measureDrain(b, drainer, new(sink), store.Drained{Outcome: store.Confirmed, Tuples: entries, Forgotten: entries})
			}
			perEntry(b, entries)
		})
		b.Run(fmt.Sprintf("entries=%d/unconfirmed", entries), func(b *testing.B) {
			s := open(b, b.TempDir())
			defer s.Close()
			fill(b, s.Feedback(), entries)
			now := time.Now()
			drainer := store.NewDrainer(s.Feedback(), tuple, func() time.Time { now = now.Add(time.Minute); return now })
			b.ReportAllocs()
			for b.Loop() {
				measureDrain(b, drainer, new(unread), store.Drained{Outcome: store.Unread, Tuples: entries})
			}
			perEntry(b, entries)
		})
	}
}

// unread is a sink that never confirms that it has read.
type unread struct{ sink }

func (*unread) Finish() (bool, error) { return false, nil }
func (*unread) Acknowledged() bool    { return false }

func measureDrain(b *testing.B, d *store.Drainer, r store.Reader, want store.Drained) {
	b.Helper()
	got, err := d.Drain(ctx, "client", app, r)
	if err != nil || got != want {
		b.Fatalf("got %+v and error %v, want %+v", got, err, want)
	}
}

// BenchmarkListed looks up whether a token is listed, as happens for every accepted
// notification.
func BenchmarkListed(b *testing.B) {
	for _, entries := range []int{0, 100_000} {
		index := store.NewTokenIndex()
		for i, d := range dead(0, entries) {
			index.Put(app, d.Token, uint64(i))
		}
		for name, token := range map[string][]byte{"yes": dead(5, 1)[0].Token, "no": dead(entries, 1)[0].Token} {
			want := name == "yes" && entries > 0
			if name == "yes" && !want {
				continue
			}
			b.Run(fmt.Sprintf("entries=%d/%s", entries, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, ok := index.Get(app, token); ok != want {
						b.Fatalf("got %v, want %v", ok, want)
					}
				}
			})
		}
	}
}

// perEntry reports the cost per entry of an operation on n entries.
func perEntry(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/entry")
}
