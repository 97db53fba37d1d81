package server

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"apnsbridge/cmd/apnsbridge/adminapi"
	"apnsbridge/cmd/apnsbridge/page"
)

// filler gives each fact a value by which it can be found again.
type filler struct {
	last  int64
	where map[string]string // the field, by its value in the JSON
}

// fill sets everything within v. Each list gets two elements, so that one sees that all are shown.
func (f *filler) fill(v reflect.Value, name string) {
	f.last++
	switch v.Interface().(type) {
	case time.Time:
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, int(f.last))
		v.Set(reflect.ValueOf(at))
		f.where[at.Format(time.RFC3339)] = name
		return
	case time.Duration:
		v.SetInt(int64(time.Second) * (1_000_000 + f.last))
		f.where[fmt.Sprint(1_000_000+f.last)] = name
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				f.fill(v.Field(i), name+"."+v.Type().Field(i).Name)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i), name+"[]")
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), name)
	case reflect.String:
		v.SetString(fmt.Sprintf("fact %d.", f.last))
		f.where[v.String()] = name
	case reflect.Bool:
		v.SetBool(true)
		f.where["true"] = name
	case reflect.Uint8: // too small for a distinct value
		v.SetUint(uint64(f.last%200 + 1))
		f.where[fmt.Sprintf(`:%d,`, v.Uint())] = name
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(1_000_000 + f.last)
		f.where[fmt.Sprint(v.Int())] = name
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(1_000_000 + f.last))
		f.where[fmt.Sprint(v.Uint())] = name
	default:
		panic(name + " is of a kind that the test does not know: " + v.Kind().String())
	}
}

// /api/state.json has everything that the pages show, except an app's figures from /metrics.
func TestStateHasWhatThePagesHave(t *testing.T) {
	var facts page.Facts
	var app page.AppFacts
	f := &filler{where: make(map[string]string)}
	f.fill(reflect.ValueOf(&facts).Elem(), "Facts")
	f.fill(reflect.ValueOf(&app).Elem(), "AppFacts")
	facts.Apps = []page.App{app.App} // the same app as on its own page
	text, err := json.Marshal(stateOf(&facts, []*page.AppFacts{&app}))
	if err != nil {
		t.Fatal(err)
	}
	for value, name := range f.where {
		switch {
		case strings.HasPrefix(name, "Facts.Apps"), strings.HasPrefix(name,
			"AppFacts.Metrics"), name == "AppFacts.Now", name == "AppFacts.App.Expiry.App":
		case !strings.Contains(string(text), value):
			t.Errorf("%s, which is %s, is not in the answer", name, value)
		}
	}
	if len(f.where) < 100 {
		t.Errorf("only %d facts were looked for", len(f.where))
	}
	var back adminapi.State
	if err := json.Unmarshal(text, &back); err != nil || len(back.Plots) != 2 || len(back.Plots[0].P99) != 2 ||
		len(back.Plots[1].TLS) != 5 {
		t.Errorf("got %+v, %v", back.Plots, err)
	}
	if p := back.Plots[0]; !p.From.Equal(facts.Now.Add(-10*time.Second)) || p.Step != 10 {
		t.Errorf("two steps of 10 s that end at %v begin at %v", facts.Now, p.From)
	}
}
