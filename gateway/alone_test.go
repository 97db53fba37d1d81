package gateway_test

import "testing"

// TestAlone has those tests run together that have to do something within a time that a busy machine would not leave
// them: beside one another, for they hardly need a processor, and before all that is parallel.
func TestAlone(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"FarProvider":        testFarProvider,
		"FeedbackSlow":       testFeedbackSlow,
		"FeedbackUnread":     testFeedbackUnread,
		"LingerIdle":         testLingerIdle,
		"ReadBeforeSpeaking": testReadBeforeSpeaking,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}
