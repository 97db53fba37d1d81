package bridge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
)

// fate is what becomes of notifications that always get the same answer from APNs.
type fate uint8

const (
	waits     fate = iota // until APNs is well again; a door is closed, or tried for itself
	strange               // each for itself, for a day
	throttled             // each for itself, for some minutes; then given up
	amended               // asked twice; then given up
	blamed                // the provider's fault
	gone                  // the device has gone
	doubted               // bad tokens, which are not believed
)

// fates are the fates for Apple's reasons, except those that wait.
var fates = map[apnssim.Reason]fate{
	apnssim.BadCollapseID: strange, apnssim.BadMessageID: strange, apnssim.DuplicateHeaders: strange,
	apnssim.TooManyRequests: throttled,
	apnssim.BadPriority:     amended, apnssim.InvalidPushType: amended, apnssim.BadExpirationDate: amended,
	apnssim.MissingDeviceToken: blamed, apnssim.PayloadEmpty: blamed, apnssim.PayloadTooLarge: blamed,
	apnssim.Unregistered: gone, apnssim.ExpiredToken: gone,
	apnssim.BadDeviceToken: doubted, apnssim.DeviceTokenNotForTopic: doubted,
}

// remedies are a part of what the operator is told about some reasons.
var remedies = map[apnssim.Reason]string{
	apnssim.BadTopic: "correct the app's topic", apnssim.TopicDisallowed: "correct the app's topic",
	apnssim.MissingTopic: "name the app's topic", apnssim.BadCertificate: "make a new one",
	apnssim.BadCertificateEnvironment: "set the app's environment", apnssim.BadEnvironmentKeyInToken: "set the app's environment",
	apnssim.ExpiredProviderToken: "set this machine's clock right", apnssim.InvalidProviderToken: "correct key, key_id and team_id",
	apnssim.TooManyProviderTokenUpdates: "wait 20 minutes", apnssim.InvalidPushType: "set the app's push_type",
	apnssim.BadPath: "is the endpoint", apnssim.MethodNotAllowed: "is the endpoint",
}

// someGoAways are as many as there are ways to judge the end of a connection.
var someGoAways = []apnssim.Reason{apnssim.BadCertificate, apnssim.BadEnvironmentKeyInToken, apnssim.TopicDisallowed,
	apnssim.ExpiredProviderToken, apnssim.TooManyProviderTokenUpdates, apnssim.ServiceUnavailable, apnssim.IdleTimeout,
	apnssim.Shutdown, apnssim.BadDeviceToken, "Invented"}

// With any answer that never changes, nothing is lost, the problem says what to do, and APNs
// sees few connections. Once it is put right, everything goes without a restart.
func TestAnswersForEver(t *testing.T) {
	t.Parallel()
	type ever struct {
		name     string
		scenario apnssim.Scenario
		fate     fate
		problem  []string
	}
	var tests []ever
	for _, after := range []int{5, 1, 0} { // first what takes longest
		for reason := range apnssim.Reasons() {
			if reason == "" {
				reason = "Invented"
			}
			if !*long && (after == 5 || !slices.Contains(someGoAways, reason)) {
				continue
			}
			problem := []string{string(reason)}
			tests = append(tests, ever{fmt.Sprintf("GOAWAY %s after %d", reason, after),
				apnssim.Scenario{GoAway: &apnssim.GoAway{After: after, Cause: reason}}, waits, problem})
		}
	}
	for reason, status := range apnssim.Reasons() {
		if reason == "" {
			continue
		}
		problem := []string{string(reason), remedies[reason]}
		switch fate := fates[reason]; fate {
		case blamed, gone:
			problem = nil
		case doubted:
			problem = []string{"APNs refuses the app's device tokens", "/apps/mail/believe"}
		}
		tests = append(tests, ever{fmt.Sprint(status, " ", reason),
			apnssim.Scenario{Reasons: []apnssim.Rule{{Reason: reason}}}, fates[reason], problem})
	}
	// Ten words to come for each status; one device each, of sixteen.
	for status, fate := range map[int]fate{
		400: strange, 401: waits, 403: waits, 404: waits, 405: waits, 410: strange, 413: strange, 418: waits, 421: waits,
		429: waits, 451: waits, 500: waits, 502: waits, 503: waits, 599: waits,
	} {
		var rules []apnssim.Rule
		for i := range 16 {
			rules = append(rules, apnssim.Rule{Prefix: fmt.Sprintf("%x1", i), Status: status,
				Reason: apnssim.Reason(fmt.Sprintf("Invented%d", i%10))})
		}
		tests = append(tests, ever{fmt.Sprint(status, " invented"), apnssim.Scenario{Reasons: rules}, fate,
			[]string{fmt.Sprint(status, " Invented"), ": "}})
	}
	html := "<html>not here</html>"
	tests = append(tests,
		ever{"404 of a web server", apnssim.Scenario{Reasons: []apnssim.Rule{{Status: 404, Body: &html}}}, waits, []string{"404", "is the endpoint"}},
		ever{"REFUSED_STREAM", apnssim.Scenario{Resets: &apnssim.Resets{}}, waits, []string{"REFUSED_STREAM", "see Apple's system status"}},
		ever{"no connection", apnssim.Scenario{Outage: &apnssim.Outage{Refuse: true}}, waits, []string{"cannot be reached", "let this machine out"}},
	)
	for i, tt := range tests {
		mode := allModes[i%len(allModes)]
		t.Run(tt.name+", "+mode.name, func(t *testing.T) {
			t.Parallel()
			o := startOrdeal(t, mode.mode, tt.scenario)
			o.push(60)
			o.pass(5*time.Minute, nil)
			o.push(20)
			o.pass(5*time.Minute, nil)
			if got := o.sim.Stats().Connections; got > 20 {
				t.Errorf("%d connections in ten minutes, want 20 at most", got)
			}
			o.checkEver(tt.fate, tt.problem)
			setScenario(t, o.sim, apnssim.Scenario{})
			o.checkRecovery(tt.fate)
		})
	}
}

// checkEver checks how things stand while the answer is the same.
func (o *ordeal) checkEver(f fate, problem []string) {
	o.t.Helper()
	st := o.stats()
	ended := map[fate]uint64{throttled: st.Dropped, amended: st.Dropped, blamed: st.Refused, gone: st.Unregistered,
		doubted: st.BadTokens}[f]
	if f == waits || f == strange {
		ended = st.Accepted // of a connection that brings a few answers
	}
	if st.Accepted != uint64(o.sim.Stats().Accepted) || o.sim.Stats().Duplicates != 0 {
		o.t.Errorf("%d are counted as accepted, APNs has accepted %d, %d twice",
			st.Accepted, o.sim.Stats().Accepted, o.sim.Stats().Duplicates)
	}
	if int(ended)+st.Waiting.Notifications != o.pushed {
		o.t.Errorf("of %d, %d have come to the end that they should, and %d wait: %+v",
			o.pushed, ended, st.Waiting.Notifications, st)
	}
	if (f == throttled || f == amended || f == blamed || f == gone) && st.Waiting.Notifications != 0 {
		o.t.Errorf("%d wait", st.Waiting.Notifications)
	}
	told := o.Problems()["mail"]
	if f == waits && st.Accepted > 0 && !o.closed() {
		told = cmp.Or(told, o.told) // where a connection brings a few answers, what is left may wait for itself by now
	}
	if (told == "") != (problem == nil) {
		o.t.Errorf("the problem is %q", told)
	}
	for _, want := range problem {
		if !strings.Contains(told, want) {
			o.t.Errorf("the problem is %q, want %q in it", told, want)
		}
	}
}

// checkRecovery checks that everything that waits goes out once APNs is well, at the next
// probe. That is at most a minute off at a door that is closed for something that the operator
// has to put right, and two in an outage. It then waits for its connection, for which one that
// was opened before may have to end.
func (o *ordeal) checkRecovery(f fate) {
	o.t.Helper()
	within := 2*2*time.Minute + 64*time.Second
	switch f {
	case strange:
		within = 24 * time.Hour
	case doubted:
		within = 10 * time.Minute
	}
	if !o.pass(within, func() bool { return o.Stats().Unsettled == 0 && o.stats().Waiting.Notifications == 0 }) {
		o.t.Errorf("%d wait after %v", o.stats().Waiting.Notifications, within)
	}
	st := o.stats()
	if f == waits || f == strange {
		if st.Accepted != uint64(o.pushed) || st.Dropped != 0 || o.sim.Stats().Duplicates != 0 {
			o.t.Errorf("%d of %d accepted, %d dropped, %d doubled", st.Accepted, o.pushed, st.Dropped, o.sim.Stats().Duplicates)
		}
		if told := o.Problems()["mail"]; told != "" {
			o.t.Errorf("the problem stays: %s", told)
		}
	}
}
