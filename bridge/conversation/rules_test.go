package conversation

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRules plays the histories of testdata/histories as scripts. Each fails if its rule is
// removed. An event without an arrow leads to no decision.
func TestRules(t *testing.T) {
	files, err := filepath.Glob("testdata/histories/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no histories (%v)", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, history := range strings.Split(string(text), "# ")[1:] {
			name, script, _ := strings.Cut(history, "\n")
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+name, func(t *testing.T) { play(t, script) })
		}
	}
}

// Libraries keep the last hundred notifications: only among these can they find one by its
// identifier and send it again.
func TestRulesStatus10Forgotten(t *testing.T) {
	play(t, `
			open A
			A 1 a
			A ok a
			open B continue
			`+strings.Repeat("B - m\n", 100)+`
			A shuts    -> close A
			open C
			C 1 a
			C ok a
			`+strings.Repeat("B - m\n", 99)+`
			C shuts    -> packet C 10 1
		`)
}

// Six misses in a row are needed before a proven resender is told nothing any more.
func TestRulesSixMisses(t *testing.T) {
	proven := func(n int) string {
		return fmt.Sprintf(`
			open P%[1]d
			P%[1]d 9 x%[1]d
			P%[1]d 11 a%[1]d
			P%[1]d 12 b%[1]d
			P%[1]d 13 c%[1]d
			P%[1]d bad x%[1]d -> packet P%[1]d 8 9
			P%[1]d ok a%[1]d
			P%[1]d ok b%[1]d
			P%[1]d ok c%[1]d
			P%[1]d ends heard
			P%[1]d closes
			open Q%[1]d
			Q%[1]d 11 a%[1]d  -> swallow
			Q%[1]d 12 b%[1]d  -> swallow
			Q%[1]d 13 c%[1]d  -> swallow
			wait 2h`, n)
	}
	miss := func(n int) string {
		return fmt.Sprintf(`
			open M%[1]d
			M%[1]d 9 x%[1]d
			M%[1]d 11 a%[1]d
			M%[1]d bad x%[1]d -> packet M%[1]d 8 9
			M%[1]d ok a%[1]d
			M%[1]d ends heard
			M%[1]d closes
			wait 2m -> feedback x%[1]d`, n)
	}
	script := proven(0)
	for n := range 5 {
		script += miss(10 + n)
	}
	script += proven(1)
	for n := range 6 {
		script += miss(20 + n)
	}
	play(t, script+`
			open A
			A 1 x
			A bad x -> feedback x`)
}

// Conn.Resending reports what is known of a kind of provider, also on a later connection.
func TestResending(t *testing.T) {
	const failure = `
		open A
		A 9 x
		A 11 a
		A 12 b
		A 13 c
		A bad x -> packet A 8 9
		A ok a
		A ok b
		A ok c
		A ends heard
		A closes`
	const again = `
		open B
		B 11 a -> swallow
		B 12 b -> swallow
		B 13 c -> swallow`
	for _, test := range []struct {
		name, script, on string
		want             Resending
	}{
		{"nothing has failed", "open A\nA 1 a\nA ok a", "A", Unsettled},
		{"it may still come", failure + "\nopen B", "B", Unsettled},
		{"it came", failure + again, "B", SendsAgain},
		{"it came, and is asked for later", failure + again + "\nwait 2h\nopen C", "C", SendsAgain},
		{"twice it did not come", failure + "\nwait 2m -> feedback x" + strings.NewReplacer("A", "B", "x", "y", "a\n", "d\n", "b\n", "e\n", "c\n", "f\n").
			Replace(failure) + "\nwait 2m -> feedback y\nopen C", "C", NeverResends},
		{"another kind", failure + again + "\nopen C elsewhere", "C", Unsettled},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := play(t, test.script)
			got := s.conns[test.on].Resending(s.traits[test.on].command, 0, s.now)
			if got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

// What is swallowed is counted by how it was recognised.
func TestSwallowedCounts(t *testing.T) {
	s := play(t, `
			open A
			A 1 x
			A 2 a
			A 3 b
			A 4 c
			A bad x   -> packet A 8 1
			A ok a
			A ok b
			A ok c
			open B
			B 2 a     -> swallow
			B 9 b     -> swallow
			B 9 c     -> swallow
			open C
			C 70 d
			C closes
			open D
			D 70 d    -> swallow
		`)
	got := s.ledger.Stats()
	if got.SwallowedSame != 1 || got.SwallowedOther != 2 || got.SwallowedReset != 1 {
		t.Errorf("%d under the same identifier, %d under another, %d after a reset; want 1, 2 and 1",
			got.SwallowedSame, got.SwallowedOther, got.SwallowedReset)
	}
}

// A provider that goes on writing is read for a second before it is told, if its kind sends
// again. It is read for ten if that is not known, or if another program that writes such
// frames has lately not sent again.
func TestRulesHowLongIsRead(t *testing.T) {
	resends := func(name string) string {
		return strings.NewReplacer("A", name, "B", name+"2").Replace(`
			open A
			A 1 x
			A 2 a
			A 3 b
			A 4 c
			A bad x   -> packet A 8 1
			A ends heard
			A closes
			A ok a
			A ok b
			A ok c
			open B
			B 2 a     -> swallow
			B 3 b     -> swallow
			B 4 c     -> swallow
		`)
	}
	goes := `
			open G
			G 1 y
			G 2 d
			G 3 e
			G bad y   -> packet G 8 1
			G ends heard
			G closes
			G ok d
			G ok e
			wait 121s  -> feedback y
		`
	for _, tt := range []struct {
		name, history string
		want          time.Duration
	}{
		{"not known", "", writesOn},
		{"sends again", resends("A"), resendsOn},
		{"another goes", resends("A") + goes, writesOn},
		{"another goes, and it sends again once more", resends("A") + goes + resends("C"), writesOn},
		{"another went a day ago", resends("A") + goes + "wait 24h\n", resendsOn},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := play(t, tt.history+`
			open L
			L 1 z
			L bad z   -> packet L 8 1
			`)
			if s.within != tt.want {
				t.Errorf("read for %v, want %v", s.within, tt.want)
			}
		})
	}
}
