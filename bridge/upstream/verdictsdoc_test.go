package upstream

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write docs/verdicts.md")

// docs/verdicts.md is made from the tables: go test ./bridge/upstream -run TestVerdictsPage -update
func TestVerdictsPage(t *testing.T) {
	const page = "../../docs/verdicts.md"
	want := verdictsPage()
	if *update {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the tables say: go test ./bridge/upstream -run TestVerdictsPage -update", page)
	}
}

func verdictsPage() []byte {
	var b bytes.Buffer
	b.WriteString(`# What each answer of APNs means

Made from [answers.go](../bridge/upstream/answers.go) by its test; do not edit. The source of the reasons is
[Apple's page](https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns).

An answer is judged by its status and its word. A word that is not known here goes by its status, and never blames the
provider or the device. Our own or Apple's trouble never reaches a provider as status 8, and never fills the feedback
list.

| answer | it says | class |
| --- | --- | --- |
`)
	row := func(code string, a *answer) {
		class := a.class.String()
		if a.status != 0 {
			class += fmt.Sprintf(", status %d", a.status)
		}
		if a.leave {
			class += "; the connection is left"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", code, a.means, class)
	}
	for i := range answers {
		a := &answers[i]
		word := " any other"
		if a.code == 200 {
			word = ""
		}
		row(fmt.Sprint(a.code)+cmp.Or(prefixed(a.reason), word), a)
	}
	row("5xx any other", &otherServer)
	row("any other", &otherStatus)
	row("any, without a reason in JSON", &wordless)
	b.WriteString(`
A GOAWAY may bring a reason too. It is judged by the same table, where everything else that is asked would hear the
same: credential, topic, JWT, and a server that is not well.

| class | the provider sees | then |
| --- | --- | --- |
`)
	for _, c := range classes[1:] {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.name, c.sees, c.then)
	}
	b.WriteString(`
What the operator is told to do about it. Words in braces stand for names of the app's, and:

| in braces | where | it is |
| --- | --- | --- |
`)
	for _, w := range []struct{ name, where, text string }{
		{"{instead}", "an app of one environment", insteadOne},
		{"{instead}", "an app by-listener", insteadBoth},
		{"{for topic}", "a key", topicOfKey},
		{"{for topic}", "a key, one of several", topicOfKeys},
		{"{for topic}", "a key and an MDM topic", topicOfDevice},
		{"{for topic}", "a certificate", topicOfPair},
	} {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", w.name, w.where, w.text)
	}
	b.WriteString(`
| answer | advice |
| --- | --- |
`)
	for _, a := range answers {
		if a.remedy != "" {
			fmt.Fprintf(&b, "| %d%s | %s |\n", a.code, cmp.Or(prefixed(a.reason), " any other"), a.remedy)
		}
	}
	return b.Bytes()
}

func prefixed(reason string) string {
	if reason == "" {
		return ""
	}
	return " " + reason
}

// Every class has its texts. Every answer that an operator can do something about has advice, in
// which nothing is left in braces.
func TestAdvice(t *testing.T) {
	for i, c := range classes[1:] {
		if c.name == "" || c.sees == "" || c.then == "" {
			t.Errorf("class %d has no words", i+1)
		}
	}
	q := Question{Credential: tokenCredential(t), Environment: "production", Topic: topic}
	for _, a := range answers {
		v := judge(a.code, []byte(`{"reason":"`+cmp.Or(a.reason, "SomethingNew")+`"}`))
		advice := q.Advice(v)
		switch a.class {
		case Accepted, BadToken, Gone, Refused:
			continue // nothing for the operator to do
		}
		if advice == "" || bytes.ContainsAny([]byte(advice), "{}\n") {
			t.Errorf("%d %s: advice %q", a.code, a.reason, advice)
		}
	}
}
