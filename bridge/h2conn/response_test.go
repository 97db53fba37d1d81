package h2conn

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

func TestResponses(t *testing.T) {
	for _, test := range []struct {
		name  string
		send  func(w *wire)
		end   string
		reply string // a frame of the client, if any
	}{
		{"status alone", func(w *wire) { w.answer(1, ":status=200") }, "/1 answered 200", ""},
		{"wanted field", func(w *wire) { w.answer(1, ":status=200", "date=now", "apns-id=abc") }, "/1 answered 200 id=abc", ""},
		{"body", func(w *wire) {
			w.headers(1, ":status=400", "content-length=6")
			w.fr.WriteData(1, false, []byte("rea"))
			w.fr.WriteData(1, true, []byte("son"))
		}, "/1 answered 400 reason", ""},
		{"padded", func(w *wire) {
			w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status=400"), EndHeaders: true,
				PadLength: 9})
			w.fr.WriteDataPadded(1, false, []byte("rea"), make([]byte, 10))
			w.fr.WriteDataPadded(1, true, []byte("son"), make([]byte, 3))
		}, "/1 answered 400 reason", ""},
		{"with priority", func(w *wire) {
			w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status=200"), EndHeaders: true,
				EndStream: true,
				Priority:  http2.PriorityParam{StreamDep: 3, Weight: 7}})
		}, "/1 answered 200", ""},
		{"in CONTINUATION", func(w *wire) {
			b := block(":status=200", "apns-id=abc")
			w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:1], EndStream: true})
			w.fr.WriteContinuation(1, false, b[1:4])
			w.fr.WriteContinuation(1, false, nil)
			w.fr.WriteContinuation(1, true, b[4:])
		}, "/1 answered 200 id=abc", ""},
		{"interim first", func(w *wire) {
			w.headers(1, ":status=103", "apns-id=early", "content-length=5")
			w.headers(1, ":status=100")
			w.answer(1, ":status=200")
		}, "/1 answered 200", ""},
		{"trailers", func(w *wire) {
			w.headers(1, ":status=200")
			w.fr.WriteData(1, false, []byte("x"))
			w.answer(1, "apns-id=late")
		}, "/1 answered 200 x", ""},
		{"literals put into a table that is not there", func(w *wire) {
			b := append([]byte{0x20, 0x88, 0x40, 7}, "apns-id"...)
			b = append(b, 3)
			w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: append(b, "abc"...), EndHeaders: true,
				EndStream: true})
		}, "/1 answered 200 id=abc", ""},
		{"frames nobody knows", func(w *wire) {
			w.fr.WriteRawFrame(0x10, 0, 1, []byte("u=1"))
			w.fr.WriteRawFrame(0xef, 0xff, 77, []byte("grease"))
			w.fr.WritePriority(1, http2.PriorityParam{StreamDep: 9})
			w.answer(1, ":status=200")
		}, "/1 answered 200", ""},
		{"settings nobody knows", func(w *wire) {
			w.fr.WriteSettings(http2.Setting{ID: 0x3a3a, Val: 7})
			w.answer(1, ":status=200")
		}, "/1 answered 200", "SETTINGS ack"},
		{"304 with the length it would have had", func(w *wire) { w.answer(1, ":status=304", "content-length=99") }, "/1 answered 304", ""},

		{"bad Huffman in a value that nobody reads", func(w *wire) {
			w.fr.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, 1,
				[]byte{0x88, 0x00, 0x01, 'a', 0x81, 0x00})
		}, "/1 answered 200", ""},

		{"refused", func(w *wire) { w.fr.WriteRSTStream(1, http2.ErrCodeRefusedStream) }, "/1 unprocessed", ""},
		{"reset", func(w *wire) { w.fr.WriteRSTStream(1, http2.ErrCodeInternal) }, "/1 unanswered", ""},
		{"reset without an error and without an answer", func(w *wire) { w.fr.WriteRSTStream(1, http2.ErrCodeNo) }, "/1 unanswered", ""},
		{"reset behind the head", func(w *wire) {
			w.headers(1, ":status=200")
			w.fr.WriteRSTStream(1, http2.ErrCodeCancel)
		}, "/1 unanswered 200", ""},
		{"refused behind the head", func(w *wire) {
			w.headers(1, ":status=200")
			w.fr.WriteRSTStream(1, http2.ErrCodeRefusedStream)
		}, "/1 unanswered 200", ""},
		{"refused behind an interim response", func(w *wire) {
			w.headers(1, ":status=100")
			w.fr.WriteRSTStream(1, http2.ErrCodeRefusedStream)
		}, "/1 unanswered", ""},
		{"answered, then reset", func(w *wire) {
			w.answer(1, ":status=200")
			w.fr.WriteRSTStream(1, http2.ErrCodeNo)
		}, "/1 answered 200", ""},
		{"frames behind the end", func(w *wire) {
			w.answer(1, ":status=200")
			w.headers(1, ":status=500")
			w.fr.WriteData(1, true, []byte("x"))
			w.fr.WriteWindowUpdate(1, 5)
		}, "/1 answered 200", ""},

		{"no status", func(w *wire) { w.answer(1, "apns-id=abc") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"empty head", func(w *wire) { w.answer(1) }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"two statuses", func(w *wire) { w.answer(1, ":status=200", ":status=200") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"status behind a field", func(w *wire) { w.answer(1, "a=b", ":status=200") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"status of two digits", func(w *wire) { w.answer(1, ":status=20") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"status that is no number", func(w *wire) { w.answer(1, ":status=2x0") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"a request's field", func(w *wire) { w.answer(1, ":path=/", ":status=200") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"upper case", func(w *wire) { w.answer(1, ":status=200", "Apns-Id=x") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"line end in a value", func(w *wire) { w.answer(1, ":status=200", "a=b\r\nc") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"101", func(w *wire) { w.headers(1, ":status=101") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"interim at the end", func(w *wire) { w.answer(1, ":status=100") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"trailers in the middle", func(w *wire) {
			w.headers(1, ":status=200")
			w.headers(1, "a=b")
		}, "/1 malformed 200", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"status in trailers", func(w *wire) {
			w.headers(1, ":status=200")
			w.answer(1, ":status=200")
		}, "/1 malformed 200", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"DATA before HEADERS", func(w *wire) { w.fr.WriteData(1, true, []byte("x")) }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"DATA after an interim response only", func(w *wire) {
			w.headers(1, ":status=100")
			w.fr.WriteData(1, true, []byte("x"))
		}, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"body shorter than said", func(w *wire) {
			w.headers(1, ":status=200", "content-length=5")
			w.fr.WriteData(1, true, []byte("x"))
		}, "/1 malformed 200 x", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"length that is no number", func(w *wire) { w.answer(1, ":status=200", "content-length=+0") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"two lengths", func(w *wire) { w.answer(1, ":status=200", "content-length=0", "content-length=1") }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"header list over the bound", func(w *wire) {
			w.answer(1, ":status=200", "a="+strings.Repeat("v", 8000), "b="+strings.Repeat("v", 8400))
		}, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"WINDOW_UPDATE of 0", func(w *wire) { w.fr.WriteWindowUpdate(1, 0) }, "/1 malformed", "RST_STREAM 1 PROTOCOL_ERROR"},
		{"window too large", func(w *wire) { w.fr.WriteWindowUpdate(1, 1<<31-1) }, "/1 malformed", "RST_STREAM 1 FLOW_CONTROL_ERROR"},
	} {
		t.Run(test.name, func(t *testing.T) {
			onOpenWire(t, Config{}, func(w *wire) {
				w.submit(0, "/1", "/2")
				w.want("HEADERS 1 /1 end", "HEADERS 3 /2 end")
				test.send(w)
				if test.reply == "" {
					w.want()
				} else {
					w.want(test.reply)
				}
				w.ended(test.end)
				// The connection is as good as before.
				w.answer(3, ":status=200")
				w.ended("/2 answered 200")
				w.room(1000)
			})
		})
	}
}

func TestBodyBound(t *testing.T) {
	onOpenWire(t, Config{}, func(w *wire) {
		w.submit(0, "/1", "/2")
		w.want("HEADERS 1 /1 end", "HEADERS 3 /2 end")
		w.headers(1, ":status=200")
		w.fr.WriteData(1, false, make([]byte, 16384))
		w.want()
		w.fr.WriteData(1, false, []byte("x"))
		w.want("RST_STREAM 1 CANCEL")
		w.headers(3, ":status=200")
		w.fr.WriteData(3, true, bytes.Repeat([]byte("y"), 16384))
		w.ended("/1 malformed 200 "+strings.Repeat("\x00", 16384), "/2 answered 200 "+strings.Repeat("y", 16384))
	})
}
