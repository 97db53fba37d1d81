package main

import (
	"context"
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// status and reload ask the running gateway; check does not mind that it has the ports.
func TestOperatorCommands(t *testing.T) {
	t.Parallel()
	w, service := newService(t, apnssim.Scenario{})
	w.Stop()
	w.FixPorts()
	w.Start()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- service().Serve(ctx, nil) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		w.Gone()
	}()
	expect := expecting(t, w)
	expect(servertest.OK, "demo  com.example.demo  production", "status")
	expect(servertest.OK, `"ready":true`, "status", "--json")
	expect(servertest.OK, "held by the gateway that runs", "check")
	expect(servertest.Failed, "address already in use", "check", "--listen")
	expect(servertest.OK, "reloaded; changes: none", "reload")
	expect(servertest.OK, "The way is open", "try", "--cert", w.Path("client.pem"), "--key", w.Path("client-key.pem"))
	expect(servertest.Failed, "does not admit this provider", "try")
	expect(servertest.Misused, "choose one of demo", "try", "--app", "gone")

	other := "  other: {topic: com.example.other, dry_run: true, clients: [{cidr: 127.0.0.9/32}], " +
		"credential: {token: {key: AuthKey_DEVELOPER.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}}\n"
	w.Amend("apps:\n", "apps:\n"+other)
	for _, command := range []string{"try", "trace"} {
		expect(servertest.Misused, "there are several apps: give --app with one of demo, other\n", command)
	}
	w.Amend(other, "")

	// A file that is wrong, or needs a variable that only the unit sets, fails when it is read.
	w.Amend("topic:", "strikt: true\n    topic:")
	expect(servertest.Failed, `unknown key "strikt"`, "reload")
	expect(servertest.OK, "demo  com.example.demo  production", "status")
	w.Amend("strikt: true", "strict: ${APNSBRIDGE_UNSET}")
	expect(servertest.Failed, "APNSBRIDGE_UNSET is not set", "reload")
	expect(servertest.OK, "demo  com.example.demo  production", "status")
	expect(servertest.OK, "nothing of this was traced", "trace", "--show")
	w.Amend("apps:", "admn: {}\napps:")
	expect(servertest.OK, "demo  com.example.demo  production", "status")
	w.Amend("apps:", "  tokn: x\napps:")
	expect(servertest.Failed, "something stands behind the value of tokn", "status")
}

// check --strict also fails for warnings, and says how many there are.
func TestCheckStrict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Amend("tls:", "limits: {connections: 100}\ntls:") // so that this machine's limit on open files is enough
	expect := expecting(t, w)
	expect(exitOK, ": no problems\n", "check", "--strict")
	w.Amend("topic:", "dry_run: true\n    topic:")
	expect(exitOK, "no problems, warnings: 1\n", "check")
	expect(exitFailed, "alarms: 0, warnings: 1", "check", "--strict")
}
