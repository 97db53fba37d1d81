package store_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

// What a gateway does with a feedback list: devices that have gone are recorded, given to
// whoever asks, and forgotten once they were read; one that has come back is revived.
func ExampleFeedback() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	opened, err := boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		panic(err)
	}
	defer opened.Close()
	var list store.Feedback = opened.Feedback()
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}

	ctx, noon := context.Background(), time.Now().Truncate(time.Hour)
	must(list.Record(ctx, "mail",
		store.Dead{Token: []byte("phone"), Time: noon},
		store.Dead{Token: []byte("tablet"), Time: noon.Add(time.Minute)}))
	if list.Listed("mail", []byte("phone")) { // before each push: memory only
		must(list.Revive(ctx, "mail", []byte("phone"), noon.Add(time.Second))) // a push sent then was accepted
	}
	dead, err := list.Pending(ctx, "mail", 0, 100)
	must(err)
	for _, d := range dead {
		fmt.Printf("%s has gone, %v past\n", d.Token, d.Time.Sub(noon))
	}
	must(list.Forget(ctx, "mail", dead...))
	n, err := list.Again(ctx, "mail") // the provider has lost what it read
	fmt.Println("again:", n, err)
	// Output:
	// tablet has gone, 1m0s past
	// again: 1 <nil>
}
