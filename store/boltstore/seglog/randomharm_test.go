package seglog

import (
	"maps"
	"os"
	"path/filepath"

	"pgregory.net/rapid"
)

// damage flips a bit of a file.
func (m *logModel) damage(path string) error {
	b, err := os.ReadFile(path)
	if len(b) == 0 {
		return err
	}
	b[rapid.IntRange(0, len(b)-1).Draw(m.T, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(m.T, "bit")
	return os.WriteFile(path, b, 0o600)
}

// kill opens the log anew, and finds out which records are back because they had not ended durably, and which ones
// damage has hit.
func (m *logModel) kill() {
	m.l.Roll()
	m.open()
	maps.Copy(m.there, m.limbo)
	maps.Copy(m.there, m.lost)
	seen := make(map[uint64]bool)
	for _, name := range modelNames {
		m.each(name, func(f *Found, k *kept) { seen[f.ID] = true })
	}
	for id, k := range m.there {
		switch {
		case seen[id]:
			delete(m.lost, id)
		case k.doubted:
			m.lost[id] = k
			delete(m.there, id)
		case m.limbo[id] != nil:
			delete(m.there, id)
		}
	}
	clear(m.limbo)
}

// harm does something bad to a segment, and doubts all records that may be in it.
func (m *logModel) harm(do func(path string) error) {
	paths, err := filepath.Glob(filepath.Join(m.dir, "*"+segmentEnd))
	m.must(err)
	if len(paths) == 0 {
		return
	}
	at := rapid.IntRange(0, len(paths)-1).Draw(m.T, "segment")
	name, _ := ParseName(filepath.Base(paths[at]))
	m.must(do(paths[at]))
	for id, k := range m.there {
		k.doubted = k.doubted || m.l.segment(id) == nil || m.l.segment(id).name == name
	}
	for _, k := range m.limbo {
		k.doubted = true
	}
}
