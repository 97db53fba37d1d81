package boltstore

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"iter"
	"slices"
	"time"

	"apnsbridge/store"
)

// A blob is what one Put adds to one queue. It says all that is needed to find it
// again in a damaged file, and which of its records are as they were:
//
//	magic   8 bytes
//	sum     u32, CRC-32C of what follows up to the first token
//	size    u32, of the whole blob
//	count   u16, of records
//	queue   u16, bytes of its name
//	number  u64
//	put     u64, when
//	oldest  u64, no blob of the queue that was there had a lower number
//	soonest u64, the second in which the first record expires; 0: none does
//	latest  u64, the second in which the last record expires; 0: never
//	name of the queue
//	for each record: expires u64, in seconds · bytes of token u16, of body u32 · sum u32, CRC-32C of both
//	for each record: token · body
//
// What a record says can leave, when it is done, to make room: then 65,535 stands
// for the bytes of its token, and its body and its sum are 0.
const (
	blobMagic  = "\x89apnsB1\n"
	blobFixed  = 8 + 4 + 4 + 2 + 2 + 5*8
	sumAt      = 8
	sizeAt     = 12
	recordHead = 8 + 2 + 4 + 4

	blobRecords = 1024    // at most
	blobBytes   = 1 << 20 // beyond which no second record goes into it

	emptied = 1<<16 - 1

	maxQueue = 1024    // bytes of a queue's name
	maxToken = 1024    // bytes
	maxBody  = 1 << 20 // bytes
	maxHead  = blobFixed + maxQueue + blobRecords*recordHead
	maxBlob  = blobFixed + maxQueue + recordHead + maxToken + max(maxBody, blobBytes)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// blobHead is a blob without what its records say.
type blobHead struct {
	size            int
	count           int
	number          uint64
	put             uint64 // milliseconds
	oldest          uint64
	soonest, latest uint64 // seconds
	queue           []byte // within the blob
	table           []byte // within the blob
}

// bytes is the size of the head.
func (h blobHead) bytes() int { return blobFixed + len(h.queue) + len(h.table) }

func recordSize(r store.SpoolRecord) int { return recordHead + len(r.Token) + len(r.Body) }

// appendBlob appends a blob of records to b. Their IDs are not looked at.
func appendBlob(b []byte, h blobHead, queue string, records []store.SpoolRecord) []byte {
	start := len(b)
	b = append(b, blobMagic...)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(records)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(queue)))
	b = appendU64(appendU64(appendU64(b, h.number), h.put), h.oldest)
	b = appendU64(appendU64(b, h.soonest), h.latest)
	b = append(b, queue...)
	at := len(b)
	b = slices.Grow(b, len(records)*recordHead)[:at+len(records)*recordHead]
	data := len(b)
	for _, r := range records {
		from := len(b)
		b = append(append(b, r.Token...), r.Body...)
		entry := b[at : at+recordHead]
		at += recordHead
		binary.BigEndian.PutUint64(entry, seconds(r.Expires))
		binary.BigEndian.PutUint16(entry[8:], uint16(len(r.Token)))
		binary.BigEndian.PutUint32(entry[10:], uint32(len(r.Body)))
		binary.BigEndian.PutUint32(entry[14:], crc32.Checksum(b[from:], castagnoli))
	}
	binary.BigEndian.PutUint32(b[start+sizeAt:], uint32(len(b)-start))
	sum(b[start:data])
	return b
}

// sum writes the checksum of a blob's head, or of a bitmap, into it.
func sum(b []byte) { binary.BigEndian.PutUint32(b[sumAt:], checksum(b)) }

func checksum(b []byte) uint32 { return crc32.Checksum(b[sumAt+4:], castagnoli) }

// readHead reads the head of the blob at the start of b, of which more may follow.
func readHead(b []byte) (h blobHead, err error) {
	if len(b) < blobFixed || string(b[:len(blobMagic)]) != blobMagic {
		return h, damage("%d bytes are no blob", len(b))
	}
	h = blobHead{
		size: int(u32(b[sizeAt:])), count: int(binary.BigEndian.Uint16(b[16:])),
		number: u64(b[20:]), put: u64(b[28:]), oldest: u64(b[36:]), soonest: u64(b[44:]), latest: u64(b[52:]),
	}
	name := blobFixed + int(binary.BigEndian.Uint16(b[18:]))
	head := name + h.count*recordHead
	if h.count == 0 || h.count > blobRecords || name == blobFixed || name > blobFixed+maxQueue || h.size < head || h.size > maxBlob || len(b) < head {
		return h, damage("a blob of %d records and %d bytes", h.count, h.size)
	}
	if checksum(b[:head]) != u32(b[sumAt:]) {
		return h, damage("the head of blob %d has a wrong checksum", h.number)
	}
	h.queue, h.table = b[blobFixed:name], b[name:head]
	data := head
	for i := range h.count {
		token, body := h.sizes(i)
		data += token + body
	}
	if data != h.size {
		return h, damage("blob %d has %d bytes, and its records %d", h.number, h.size, data)
	}
	return h, nil
}

// sizes are those of the token and of the body of a record.
func (h blobHead) sizes(i int) (token, body int) {
	entry := h.table[i*recordHead:]
	if token = int(binary.BigEndian.Uint16(entry[8:])); token == emptied {
		token = 0
	}
	return token, int(u32(entry[10:]))
}

// emptied says whether what a record says has left.
func (h blobHead) emptied(i int) bool {
	return binary.BigEndian.Uint16(h.table[i*recordHead+8:]) == emptied
}

// sizeWithout is the size that a blob would have without what the records say that
// are done.
func (h blobHead) sizeWithout(done bitmap) int {
	size := h.bytes()
	for i := range h.count {
		if !done.has(i) {
			token, body := h.sizes(i)
			size += token + body
		}
	}
	return size
}

// without gives the blob b without what the records say that are done.
func (h blobHead) without(b []byte, done bitmap) []byte {
	less := make([]byte, h.bytes(), h.sizeWithout(done))
	copy(less, b)
	table := less[blobFixed+len(h.queue):]
	for i, r := range h.records(b) {
		if !done.has(i) {
			less = append(less, r.data...)
			continue
		}
		entry := table[i*recordHead:]
		binary.BigEndian.PutUint16(entry[8:], emptied)
		clear(entry[10:recordHead])
	}
	binary.BigEndian.PutUint32(less[sizeAt:], uint32(len(less)))
	sum(less[:h.bytes()])
	return less
}

// checkBlob reads the head of the blob that b is, and says whether all of it is as
// it was written.
func checkBlob(b []byte) (h blobHead, err error) {
	if h, err = readHead(b); err != nil {
		return h, err
	}
	if h.size != len(b) {
		return h, damage("%d bytes are left of a blob of %d", len(b), h.size)
	}
	for i, r := range h.records(b) {
		if !r.whole() {
			return h, damage("record %d of blob %d has a wrong checksum", i, h.number)
		}
	}
	return h, nil
}

// blobRecord is a record within a blob.
type blobRecord struct {
	entry []byte
	token int    // bytes
	data  []byte // token and body
}

// records gives the records of a blob, all of which is in b, by their places.
func (h blobHead) records(b []byte) iter.Seq2[int, blobRecord] {
	return func(yield func(int, blobRecord) bool) {
		at := h.bytes()
		for i := range h.count {
			token, body := h.sizes(i)
			end := at + token + body
			if !yield(i, blobRecord{entry: h.table[i*recordHead:], token: token, data: b[at:end]}) {
				return
			}
			at = end
		}
	}
}

// whole says whether the record is as it was written.
func (r blobRecord) whole() bool { return crc32.Checksum(r.data, castagnoli) == u32(r.entry[14:]) }

func (r blobRecord) expires() time.Time { return fromSeconds(u64(r.entry)) }

// copyTo gives the record with the memory that is appended to b.
func (r blobRecord) copyTo(b []byte, id uint64) ([]byte, store.SpoolRecord) {
	at := len(b)
	b = append(b, r.data...)
	end := at + r.token
	return b, store.SpoolRecord{ID: id, Token: b[at:end:end], Body: b[end:len(b):len(b)], Expires: r.expires()}
}

// seconds is how a time of expiry is written. What has expired before 1970 has
// expired.
func seconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(1, t.Unix()))
}

func fromSeconds(v uint64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.Unix(int64(v), 0).UTC()
}

// expiry gives the seconds in which the first and the last of records expire.
func expiry(records []store.SpoolRecord) (soonest, latest uint64) {
	never := false
	for _, r := range records {
		at := seconds(r.Expires)
		if at == 0 {
			never = true
			continue
		}
		if soonest == 0 || at < soonest {
			soonest = at
		}
		latest = max(latest, at)
	}
	if never {
		latest = 0
	}
	return soonest, latest
}

// A bitmap has a bit for each record of a blob. In the file it says which are
// done:
//
//	magic  8 bytes
//	sum    u32, CRC-32C of all that follows
//	count  u16, of records · number u64, of the blob · bits, the lowest first
const (
	bitmapMagic = "\x89apnsD1\n"
	bitmapHead  = 8 + 4 + 2 + 8
)

func appendBitmap(b []byte, number uint64, count int, bits bitmap) []byte {
	start := len(b)
	b = append(b, bitmapMagic...)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(count))
	b = appendU64(b, number)
	for i := range (count + 7) / 8 {
		b = append(b, byte(bits[i/8]>>(i%8*8)))
	}
	sum(b[start:])
	return b
}

// readBitmap reads which records of the blob number are done into bits, that has
// room for count. No bytes say that none is.
func readBitmap(b []byte, number uint64, count int, bits bitmap) error {
	if b == nil {
		return nil
	}
	if len(b) != bitmapHead+(count+7)/8 || !bytes.HasPrefix(b, []byte(bitmapMagic)) ||
		int(binary.BigEndian.Uint16(b[12:])) != count || u64(b[14:]) != number ||
		checksum(b) != u32(b[sumAt:]) {
		return damage("the bitmap of blob %d has %d bytes that do not fit", number, len(b))
	}
	for i, v := range b[bitmapHead:] {
		bits[i/8] |= uint64(v) << (i % 8 * 8)
	}
	if last := count % 64; last > 0 && bits[len(bits)-1]>>last != 0 {
		return damage("the bitmap of blob %d has more than %d bits", number, count)
	}
	return nil
}

// bitmapSize is how many bytes the bitmap at the start of b has, of which more may
// follow; 0 if there is none that is whole.
func bitmapSize(b []byte) int {
	if len(b) < bitmapHead || !bytes.HasPrefix(b, []byte(bitmapMagic)) {
		return 0
	}
	size := bitmapHead + (int(binary.BigEndian.Uint16(b[12:]))+7)/8
	if len(b) < size || checksum(b[:size]) != u32(b[sumAt:]) {
		return 0
	}
	return size
}

// bitmapNumber is the number of the blob that a bitmap belongs to.
func bitmapNumber(b []byte) uint64 { return u64(b[14:]) }
