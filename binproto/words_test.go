package binproto

import "testing"

// The words are those of Apple's table "Codes in error-response packet"; for 128 it has none.
func TestStatusWords(t *testing.T) {
	for status, want := range map[Status]string{
		0: "no errors encountered", 1: "processing error", 2: "missing device token", 3: "missing topic",
		4: "missing payload", 5: "invalid token size", 6: "invalid topic size", 7: "invalid payload size",
		8: "invalid token", 10: "shutdown", 128: "protocol error", 255: "unknown error", 9: "status 9", 200: "status 200",
	} {
		if got := status.Error(); got != want {
			t.Errorf("status %d is %q, want %q", uint8(status), got, want)
		}
	}
}

// Each violation has words of its own, for the log has nothing else of a provider's mistake.
func TestViolationWords(t *testing.T) {
	seen := make(map[string]bool)
	for v := Violation(0); v <= FrameTooLong+1; v++ {
		words := v.Error()
		known := v >= UnknownCommand && v <= FrameTooLong
		if known && (seen[words] || words == Violation(0).Error()) {
			t.Errorf("violation %d is %q, as another one", uint8(v), words)
		}
		seen[words] = true
	}
}

// What no frame can say is a mistake of the program, and no frame.
func TestAppendPanics(t *testing.T) {
	long := make([]byte, 1<<16)
	for name, n := range map[string]Notification{
		"a command that is none": {Command: 3},
		"a token of 64 KiB":      {Token: long},
		"a payload of 64 KiB":    {Command: Enhanced, Payload: long},
		"an item of 64 KiB":      {Command: Framed, Payload: long},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it is appended")
				}
			}()
			n.Append(nil)
		})
	}
}

// A layout holds eight items, more than any library writes, and knows an id above 14 as 15.
func TestLayoutHoldsEight(t *testing.T) {
	if got, want := LayoutOf(1, 2, 3, 4, 5, 6, 7, 14, 9), LayoutOf(1, 2, 3, 4, 5, 6, 7, 14); got != want ||
		got.Len() != 8 {
		t.Errorf("nine items are %x, eight are %x", got, want)
	}
	if got := LayoutOf(0, 200).AppendItems(nil); string(got) != "\x0f\x0f" {
		t.Errorf("unknown items are %x", got)
	}
}
