package storetest

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"apnsbridge/store"
)

// queues is the naive model of a store.Spool: for each queue a slice of what is
// not done.
type queues map[string][]spooled

type spooled struct {
	id   uint64
	body string
	out  bool
}

// places are those of those that nobody has, or that somebody has.
func (m queues) places(queue string, out bool) (places []int) {
	for i, r := range m[queue] {
		if r.out == out {
			places = append(places, i)
		}
	}
	return places
}

// randomSpool compares a spool with the model over random histories.
func randomSpool(t *testing.T, place func() Place[store.Spool]) {
	names := []string{"mail", "more", "news"}
	name := rapid.SampledFrom(names)
	size := rapid.OneOf(rapid.IntRange(0, 5), rapid.IntRange(60, 70), rapid.IntRange(1000, 1100))
	rapid.Check(t, func(rt *rapid.T) {
		open := place()
		s := open(Settings{})
		model, n, last := make(queues), 0, make(map[string]uint64)
		// some draws which of the records in somebody's hands it is about.
		some := func(rt *rapid.T, queue string) (ids []uint64, places []int) {
			out := model.places(queue, true)
			if len(out) == 0 {
				return nil, nil
			}
			from := rapid.IntRange(0, len(out)-1).Draw(rt, "from")
			to := rapid.IntRange(from+1, len(out)).Draw(rt, "to")
			step := rapid.SampledFrom([]int{1, 1, 2, 7}).Draw(rt, "step")
			for i := from; i < to; i += step {
				places = append(places, out[i])
				ids = append(ids, model[queue][out[i]].id)
			}
			if rapid.Bool().Draw(rt, "backward") {
				slices.Reverse(ids)
			}
			return ids, places
		}
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				var batches []store.SpoolBatch
				for range rapid.IntRange(1, 3).Draw(rt, "batches") {
					batch := in(name.Draw(rt, "queue"), records(n, size.Draw(rt, "size")))
					n += len(batch.Records)
					batches = append(batches, batch)
				}
				must(rt, s.Put(ctx, batches...))
				for _, b := range batches {
					for _, r := range b.Records {
						if r.ID <= last[b.Queue] {
							rt.Fatalf("%s: ID %d came after %d", b.Queue, r.ID, last[b.Queue])
						}
						last[b.Queue] = r.ID
						model[b.Queue] = append(model[b.Queue], spooled{r.ID, string(r.Body), true})
					}
				}
			},
			"take": func(rt *rapid.T) {
				queue := name.Draw(rt, "queue")
				limit := rapid.SampledFrom([]int{1, 2, 50, 500, 5000}).Draw(rt, "limit")
				got := take(rt, s, queue, limit)
				want := model.places(queue, false)
				want = want[:min(limit, len(want))]
				if len(got) != len(want) {
					rt.Fatalf("%s: got %d records, want %d", queue, len(got), len(want))
				}
				for i, place := range want {
					r := &model[queue][place]
					if r.out = true; got[i].ID != r.id || string(got[i].Body) != r.body {
						rt.Fatalf("%s: got %d %q as record %d, want %d %q", queue, got[i].ID, got[i].Body, i, r.id, r.body)
					}
				}
			},
			"return": func(rt *rapid.T) {
				queue := name.Draw(rt, "queue")
				ids, places := some(rt, queue)
				s.Return(queue, ids...)
				for _, i := range places {
					model[queue][i].out = false
				}
			},
			"done": func(rt *rapid.T) {
				queue := name.Draw(rt, "queue")
				ids, places := some(rt, queue)
				s.Done(queue, ids...)
				for _, i := range slices.Backward(places) {
					model[queue] = slices.Delete(model[queue], i, i+1)
				}
			},
			"flush": func(rt *rapid.T) { must(rt, s.Flush(ctx)) },
			"open again": func(*rapid.T) {
				s = open(Settings{})
				for _, queue := range model {
					for i := range queue {
						queue[i].out = false
					}
				}
			},
			"": func(rt *rapid.T) {
				var want []string
				for _, name := range names {
					if len(model[name]) > 0 {
						want = append(want, name)
					}
					if got, want := s.Waiting(name), len(model.places(name, false)); got != want {
						rt.Errorf("%s: got %d that wait, want %d", name, got, want)
					}
				}
				if got := s.Queues(); !slices.Equal(got, want) {
					rt.Errorf("got queues %q, want %q", got, want)
				}
			},
		})
	})
}
