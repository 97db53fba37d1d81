package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The maintainer scripts run in a root directory of their own, with a systemctl and a
// systemd-run that record their arguments. They stop a running gateway only on removal,
// and restart it only if that does not refuse any connection.
func TestMaintainerScripts(t *testing.T) {
	for _, name := range []string{"sh", "sed", "rm", "rmdir"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(err)
		}
	}
	const (
		update  = "systemctl daemon-reload\nsystemctl --quiet is-active apnsbridge.service\n"
		looked  = update + "systemctl --quiet is-active apnsbridge.socket\n"
		checked = looked + "systemd-run --quiet --wait --pipe --uid=apnsbridge " +
			"--property=EnvironmentFile=-/etc/apnsbridge/environment " +
			"/usr/bin/apnsbridge check --config /etc/apnsbridge/apnsbridge.yaml\n"
		restarted = checked + "systemctl restart apnsbridge.service\n"
		given     = "chgrp 999 etc/apnsbridge\nchgrp 999 etc/apnsbridge/apnsbridge.yaml\n"
		stopped   = "systemctl --quiet disable --now apnsbridge.socket apnsbridge.service\n"
	)
	for _, tt := range []struct {
		name, script string
		args         []string
		fails        string // the commands that fail, as "is-active apnsbridge.socket"
		want         string // the recorded arguments
		says         string
	}{
		{"upgrade, the ports are systemd's", "postinst", []string{"configure", "1.0.0"}, "", restarted, ""},
		{"the same by rpm, which makes files root's", "postinst", []string{"2"}, "", given + restarted, ""},
		{"upgrade, the ports are the gateway's", "postinst", []string{"configure", "1.0.0"}, "is-active apnsbridge.socket",
			looked, "without apnsbridge.socket"},
		{"upgrade, the configuration is refused", "postinst", []string{"configure", "1.0.0"}, "apnsbridge check",
			checked, "does not accept"},
		{"upgrade, the restart fails", "postinst", []string{"configure", "1.0.0"}, "restart", restarted, "journalctl"},
		{"upgrade of what does not run", "postinst", []string{"configure", "1.0.0"}, "is-active", update, ""},
		{"upgrade given up", "postinst", []string{"abort-upgrade", "1.1.0"}, "", "", ""},
		{"removal given up", "postinst", []string{"abort-remove"}, "", "", ""},

		{"before an upgrade", "prerm", []string{"upgrade", "1.1.0"}, "", "", ""},
		{"before an upgrade by rpm", "prerm", []string{"1"}, "", "", ""},
		{"before a removal", "prerm", []string{"remove"}, "", stopped, ""},
		{"before a removal by rpm", "prerm", []string{"0"}, "", stopped, ""},

		{"behind an upgrade", "postrm", []string{"upgrade", "1.1.0"}, "", "", ""},
		{"behind an upgrade by rpm", "postrm", []string{"1"}, "", "", ""},
		{"behind a removal", "postrm", []string{"remove"}, "", "systemctl daemon-reload\n", ""},
		{"behind a removal by rpm", "postrm", []string{"0"}, "", "systemctl daemon-reload\n", ""},
		{"purge", "postrm", []string{"purge"}, "", "", "are left"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root, bin := t.TempDir(), t.TempDir()
			told := filepath.Join(bin, "told")
			for _, name := range []string{"systemctl", "systemd-run"} {
				fails := ""
				if tt.fails != "" {
					fails = "case \"$*\" in *'" + tt.fails + "'*) exit 3 ;; esac\n"
				}
				write(t, filepath.Join(bin, name), "#!/bin/sh\necho "+name+" \"$*\" >>"+told+"\n"+fails, 0o755)
			}
			write(t, filepath.Join(bin, "systemd-sysusers"), "#!/bin/sh\n", 0o755)
			// The directory and the configuration are root's, the environment is a group's of the operator's.
			write(t, filepath.Join(bin, "stat"), "#!/bin/sh\ncase $3 in */environment) echo 7 ;; *) echo 0 ;; esac\n", 0o755)
			write(t, filepath.Join(bin, "chgrp"), "#!/bin/sh\necho chgrp $1 \"${2#$DPKG_ROOT/}\" >>"+told+"\n", 0o755)
			write(t, filepath.Join(root, "etc/passwd"), "root:x:0:0::/:/bin/sh\napnsbridge:!:998:999::/:/bin/sh\n", 0o644)
			write(t, filepath.Join(root, "etc/group"), "root:x:0:\napnsbridge:x:999:\n", 0o644)
			write(t, filepath.Join(root, "etc/apnsbridge/apnsbridge.yaml"), "", 0o640)
			write(t, filepath.Join(root, "etc/apnsbridge/environment"), "", 0o640)
			write(t, filepath.Join(root, "run/systemd/system/unit"), "", 0o644)
			write(t, filepath.Join(root, "var/lib/apnsbridge/feedback.db"), "", 0o600)
			write(t, filepath.Join(root, "etc/apnsbridge/push.p8"), "", 0o600)

			run := func() string {
				cmd := exec.Command("sh", append([]string{filepath.Join("scripts", tt.script)}, tt.args...)...)
				cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "DPKG_ROOT=" + root}
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				return string(out)
			}
			if out := run(); !strings.Contains(out, tt.says) || tt.says == "" && out != "" {
				t.Errorf("the script says %q, want %q", out, tt.says)
			}
			if got, _ := os.ReadFile(told); string(got) != tt.want {
				t.Errorf("systemd is asked for\n%s, want\n%s", got, tt.want)
			}
			if got := exists(filepath.Join(root, "var/lib/apnsbridge/feedback.db")); got == (tt.args[0] == "purge") {
				t.Errorf("the data exists: %v, want it to be removed by purge only", got)
			}
			if !exists(filepath.Join(root, "etc/apnsbridge/push.p8")) {
				t.Error("the operator's key is gone")
			}

			// Without systemd, the scripts do not ask for it.
			os.RemoveAll(filepath.Join(root, "run"))
			os.Remove(told)
			run()
			if got, _ := os.ReadFile(told); strings.Contains(string(got), "system") {
				t.Errorf("without systemd it is asked for\n%s", got)
			}
		})
	}
}
