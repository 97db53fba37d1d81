package boltstore

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"time"

	"apnsbridge/store"
)

// A blob is what one Put adds to one queue. It says all that is needed to find it
// again in a damaged file:
//
//	magic   8 bytes
//	sum     u32, CRC-32C of all that follows
//	size    u32, of the whole blob
//	count   u16, of records
//	queue   u16, bytes of its name
//	number  u64
//	put     u64, when
//	oldest  u64, the number of no blob of the queue that was there was lower
//	soonest u64, the second in which the first record expires; 0: none does
//	latest  u64, the second in which the last record expires; 0: never
//	name of the queue
//	records, each: expires u64, in seconds · u16 bytes of token · u32 bytes of body · token · body
const (
	blobMagic  = "\x89apnsB1\n"
	blobHead   = 8 + 4 + 4 + 2 + 2 + 5*8
	sumAt      = 8
	sizeAt     = 12
	recordHead = 8 + 2 + 4

	blobRecords = 1024    // at most
	blobBytes   = 1 << 20 // beyond which no second record goes into it

	maxQueue = 1024    // bytes of a queue's name
	maxToken = 1024    // bytes
	maxBody  = 1 << 20 // bytes
	maxBlob  = blobHead + maxQueue + recordHead + maxToken + max(maxBody, blobBytes)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// blobHeader is a blob without its records.
type blobHeader struct {
	size            int
	count           int
	number          uint64
	put             uint64 // milliseconds
	oldest          uint64
	soonest, latest uint64 // seconds
	queue           []byte // within the blob
}

func recordSize(r store.SpoolRecord) int { return recordHead + len(r.Token) + len(r.Body) }

// appendBlob appends a blob of records to b. Their IDs are not looked at.
func appendBlob(b []byte, h blobHeader, queue string, records []store.SpoolRecord) []byte {
	start := len(b)
	b = append(b, blobMagic...)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(records)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(queue)))
	b = appendU64(appendU64(appendU64(b, h.number), h.put), h.oldest)
	b = appendU64(appendU64(b, h.soonest), h.latest)
	b = append(b, queue...)
	for _, r := range records {
		b = appendU64(b, seconds(r.Expires))
		b = binary.BigEndian.AppendUint16(b, uint16(len(r.Token)))
		b = appendU32(b, uint32(len(r.Body)))
		b = append(append(b, r.Token...), r.Body...)
	}
	blob := b[start:]
	binary.BigEndian.PutUint32(blob[sizeAt:], uint32(len(blob)))
	sum(blob)
	return b
}

// sum writes the checksum of a blob or a bitmap into it.
func sum(b []byte) { binary.BigEndian.PutUint32(b[sumAt:], checksum(b)) }

func checksum(b []byte) uint32 { return crc32.Checksum(b[sumAt+4:], castagnoli) }

// readHeader reads the beginning of the blob at the start of b, of which more may
// follow, or less be there than the header says. Its sum is not looked at.
func readHeader(b []byte) (h blobHeader, err error) {
	if len(b) < blobHead || string(b[:len(blobMagic)]) != blobMagic {
		return h, damage("%d bytes are no blob", len(b))
	}
	name := int(binary.BigEndian.Uint16(b[18:]))
	h = blobHeader{
		size: int(u32(b[sizeAt:])), count: int(binary.BigEndian.Uint16(b[16:])),
		number: u64(b[20:]), put: u64(b[28:]), oldest: u64(b[36:]), soonest: u64(b[44:]), latest: u64(b[52:]),
	}
	if h.size > maxBlob || h.count == 0 || h.count > blobRecords || name == 0 || name > maxQueue || h.size < blobHead+name+h.count*recordHead {
		return h, damage("a blob of %d records and %d bytes", h.count, h.size)
	}
	if len(b) >= blobHead+name {
		h.queue = b[blobHead : blobHead+name]
	}
	return h, nil
}

// checkBlob reads the header of the blob that b is, and says whether all of it is
// as it was written.
func checkBlob(b []byte) (h blobHeader, err error) {
	if h, err = readHeader(b); err != nil {
		return h, err
	}
	if h.size != len(b) {
		return h, damage("%d bytes are left of a blob of %d", len(b), h.size)
	}
	if checksum(b) != u32(b[sumAt:]) {
		return h, damage("blob %d has a wrong checksum", h.number)
	}
	rest := b[blobHead+len(h.queue):]
	for range h.count {
		if _, rest, err = cutRecord(rest); err != nil {
			return h, err
		}
	}
	if len(rest) > 0 {
		return h, damage("blob %d has %d bytes too many", h.number, len(rest))
	}
	return h, nil
}

// blobRecord is a record within a blob.
type blobRecord struct {
	expires     uint64
	token, body []byte
}

// size is what SpoolRecord makes of it.
func (r blobRecord) size() int { return len(r.token) + len(r.body) }

// copyTo gives the record with the memory that is appended to b.
func (r blobRecord) copyTo(b []byte, id uint64) ([]byte, store.SpoolRecord) {
	at := len(b)
	b = append(append(b, r.token...), r.body...)
	end := at + len(r.token)
	return b, store.SpoolRecord{ID: id, Token: b[at:end:end], Body: b[end:len(b):len(b)], Expires: fromSeconds(r.expires)}
}

// cutRecord takes the first record off b.
func cutRecord(b []byte) (r blobRecord, rest []byte, err error) {
	if len(b) < recordHead {
		return r, nil, damage("a record of %d bytes", len(b))
	}
	token, body := int(binary.BigEndian.Uint16(b[8:])), int(u32(b[10:]))
	r.expires = u64(b)
	if b = b[recordHead:]; len(b) < token || len(b)-token < body {
		return r, nil, damage("%d bytes are left of a record of %d", len(b), token+body)
	}
	r.token, b = b[:token], b[token:]
	r.body, b = b[:body], b[body:]
	return r, b, nil
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
