package upstream

import (
	"bytes"
	"encoding/pem"
	"regexp"
	"strings"
	"unicode/utf16"
)

// plainText undoes what editors and settings do to a text: a byte order mark,
// UTF-16, \n written out.
func plainText(file []byte) string {
	text := string(bytes.TrimPrefix(file, []byte("\xef\xbb\xbf")))
	begin, wide := 0, len(file) > 1 && (file[0] == 0) != (file[1] == 0) // two bytes for each letter
	little := wide && file[1] == 0
	if bytes.HasPrefix(file, []byte("\xff\xfe")) || bytes.HasPrefix(file, []byte("\xfe\xff")) {
		begin, wide, little = 2, true, file[0] == 0xff
	}
	if wide {
		var units []uint16
		for i := begin; i+1 < len(file); i += 2 {
			low, high := file[i], file[i+1]
			if !little {
				low, high = high, low
			}
			units = append(units, uint16(high)<<8|uint16(low))
		}
		text = string(utf16.Decode(units))
	}
	return strings.NewReplacer(`\r\n`, "\n", `\n`, "\n", "\r\n", "\n", "\r", "\n").Replace(text)
}

var pemText = regexp.MustCompile(`(?s)-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END [A-Z0-9 ]+-----`)

// pemBlocks are the blocks in a text, also where their lines are indented or have
// run together. Those that cannot be decoded are left out.
func pemBlocks(text string) (blocks []*pem.Block) {
	for _, found := range pemText.FindAllStringSubmatch(text, -1) {
		kind, body := found[1], found[2]
		if strings.Contains(body, ":") { // headers, which have lines of their own
			var lines []string
			for line := range strings.SplitSeq(body, "\n") {
				lines = append(lines, strings.TrimSpace(line))
			}
			body = strings.Trim(strings.Join(lines, "\n"), "\n")
		} else {
			body = strings.Join(strings.Fields(body), "\n")
		}
		if block, _ := pem.Decode([]byte("-----BEGIN " + kind + "-----\n" + body + "\n-----END " + kind +
			"-----\n")); block != nil {
			blocks = append(blocks, block)
		}
	}
	return blocks
}
