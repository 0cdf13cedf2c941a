package boltstore

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
)

// A survey walks a file before bbolt does, for bbolt believes what it reads:
// a page that leads back to itself costs it the process, not an error. It reads
// the head of each page that is in use, once, and no message.
//
// Pages begin with id (8 bytes), kind (2), count (2) and overflow (4: pages that
// follow and belong to it). The table of a branch has offset (4), length of the
// key (4) and page (8) for each child; that of a leaf has flags (4), offset (4),
// length of the key (4) and of the value (4). All is in the machine's own order.
type survey struct {
	file io.ReaderAt
	page int      // bytes of one
	end  uint64   // the first page that is none
	seen []uint64 // one bit a page
	bufs [][]byte // of the pages from the root to the one at hand
}

const (
	headBytes  = 16
	entryBytes = 16
	rootBytes  = 16 // what a bucket begins with: its page (8), a sequence (8)

	branchKind, leafKind, freeKind = 1, 2, 16

	metaMagic, metaVersion = 0xED0CDAED, 2

	deepest    = 64 // levels of pages; a million messages take five
	noFreeList = ^uint64(0)
)

var order = binary.NativeEndian

// verify says what is wrong with the pages of a file of size bytes.
func verify(file io.ReaderAt, size int64, page int) error {
	s := &survey{file: file, page: page}
	meta, err := s.meta()
	if err != nil {
		return err
	}
	root, free := order.Uint64(meta[16:]), order.Uint64(meta[32:])
	s.end = order.Uint64(meta[40:])
	if has := uint64(size) / uint64(page); s.end > has {
		return fmt.Errorf("cut short: %d pages of %d", has, s.end)
	}
	s.seen = make([]uint64, s.end/64+1)
	s.seen[0] = 3 // the metas
	if err := s.tree(root, 0); err != nil {
		return err
	}
	if free == noFreeList {
		return nil
	}
	return s.free(free)
}

// meta returns the newer of the two that are whole.
func (s *survey) meta() ([]byte, error) {
	var newest []byte
	for i := range int64(2) {
		b := make([]byte, 64)
		if _, err := s.file.ReadAt(b, i*int64(s.page)+headBytes); err != nil {
			return nil, err
		}
		sum := fnv.New64a()
		sum.Write(b[:56])
		if order.Uint32(b) != metaMagic || order.Uint32(b[4:]) != metaVersion || order.Uint64(b[56:]) != sum.Sum64() {
			continue
		}
		if newest == nil || order.Uint64(b[48:]) > order.Uint64(newest[48:]) {
			newest = b
		}
	}
	if newest == nil {
		return nil, fmt.Errorf("no page that says where the others are")
	}
	return newest, nil
}

// tree follows a page to all below it.
func (s *survey) tree(id uint64, depth int) error {
	if depth >= deepest {
		return fmt.Errorf("page %d: more than %d levels", id, deepest)
	}
	p, err := s.read(id, depth)
	if err != nil {
		return err
	}
	switch p.kind {
	case branchKind:
		return s.branch(p, depth)
	case leafKind:
		return s.leaf(p, depth)
	}
	return fmt.Errorf("page %d: of kind %#x", id, p.kind)
}

func (s *survey) branch(p page, depth int) error {
	if p.count == 0 {
		return fmt.Errorf("page %d: a branch without leaves", p.id)
	}
	for i := range p.count {
		e := p.entry(i)
		if !p.holds(i, uint64(order.Uint32(e)), uint64(order.Uint32(e[4:]))) {
			return fmt.Errorf("page %d: key %d is outside", p.id, i)
		}
		if err := s.tree(order.Uint64(e[8:]), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (s *survey) leaf(p page, depth int) error {
	for i := range p.count {
		e := p.entry(i)
		at, key, value := uint64(order.Uint32(e[4:])), uint64(order.Uint32(e[8:])), uint64(order.Uint32(e[12:]))
		if !p.holds(i, at, key+value) {
			return fmt.Errorf("page %d: value %d is outside", p.id, i)
		}
		if order.Uint32(e) == 0 {
			continue
		}
		if err := s.bucket(p, headBytes+uint64(i)*entryBytes+at+key, value, depth); err != nil {
			return err
		}
	}
	return nil
}

// bucket is at a place in p: the page where its tree begins, or, if that is 0, a
// page of its own that follows.
func (s *survey) bucket(p page, at, size uint64, depth int) error {
	broken := fmt.Errorf("page %d: a broken bucket", p.id)
	if size < rootBytes || size > p.size {
		return broken
	}
	b := make([]byte, size)
	if _, err := s.file.ReadAt(b, int64(p.id)*int64(s.page)+int64(at)); err != nil {
		return err
	}
	if root := order.Uint64(b); root != 0 {
		return s.tree(root, depth+1)
	}
	if b = b[rootBytes:]; len(b) < headBytes {
		return broken
	}
	in := page{id: p.id, kind: order.Uint16(b[8:]), count: int(order.Uint16(b[10:])), size: uint64(len(b)), head: b}
	if in.kind != leafKind || headBytes+in.count*entryBytes > len(b) {
		return broken
	}
	for i := range in.count {
		e := in.entry(i)
		if order.Uint32(e) != 0 || !in.holds(i, uint64(order.Uint32(e[4:])), uint64(order.Uint32(e[8:]))+uint64(order.Uint32(e[12:]))) {
			return broken
		}
	}
	return nil
}

// free looks at the list of pages that may be written over: none of them is in
// use, or there twice.
func (s *survey) free(id uint64) error {
	p, err := s.read(id, 0)
	if err != nil {
		return err
	}
	if p.kind != freeKind {
		return fmt.Errorf("page %d: of kind %#x, not a list of free pages", id, p.kind)
	}
	count, at := uint64(p.count), uint64(headBytes)
	if p.count == 0xFFFF { // does not fit there, and comes first
		count, at = order.Uint64(p.head[headBytes:]), headBytes+8
	}
	if count > s.end || at+count*8 > p.size {
		return fmt.Errorf("page %d: a list of %d free pages", id, count)
	}
	b := make([]byte, count*8)
	if _, err := s.file.ReadAt(b, int64(id)*int64(s.page)+int64(at)); err != nil {
		return err
	}
	for ; len(b) > 0; b = b[8:] {
		if err := s.take(order.Uint64(b), 1); err != nil {
			return fmt.Errorf("free %w", err)
		}
	}
	return nil
}

// A page is what it says of itself, and its table.
type page struct {
	id    uint64
	kind  uint16
	count int
	size  uint64 // with what it overflows to
	head  []byte
}

func (p page) entry(i int) []byte { return p.head[headBytes+i*entryBytes:][:entryBytes] }

// holds reports whether n bytes at an offset from entry i are behind the table
// and within the page.
func (p page) holds(i int, offset, n uint64) bool {
	begin := headBytes + uint64(i)*entryBytes + offset
	return begin >= headBytes+uint64(p.count)*entryBytes && begin+n <= p.size
}

// read reads the head of a page that nothing else has led to.
func (s *survey) read(id uint64, depth int) (page, error) {
	if id >= s.end {
		return page{}, fmt.Errorf("page %d: beyond the last", id)
	}
	if depth == len(s.bufs) {
		s.bufs = append(s.bufs, make([]byte, s.page))
	}
	b := s.bufs[depth]
	if _, err := s.file.ReadAt(b[:s.page], int64(id)*int64(s.page)); err != nil {
		return page{}, err
	}
	p := page{id: id, kind: order.Uint16(b[8:]), count: int(order.Uint16(b[10:])), head: b}
	if order.Uint64(b) != id {
		return page{}, fmt.Errorf("page %d: says that it is page %d", id, order.Uint64(b))
	}
	pages := uint64(order.Uint32(b[12:])) + 1
	if err := s.take(id, pages); err != nil {
		return page{}, err
	}
	p.size = pages * uint64(s.page)
	table := headBytes + p.count*entryBytes
	if p.kind == freeKind || table <= s.page {
		return p, nil
	}
	if uint64(table) > p.size {
		return page{}, fmt.Errorf("page %d: %d entries", id, p.count)
	}
	if len(b) < table {
		b = make([]byte, table)
		s.bufs[depth] = b
	}
	_, err := s.file.ReadAt(b[:table], int64(id)*int64(s.page))
	p.head = b
	return p, err
}

// take marks n pages as used.
func (s *survey) take(id, n uint64) error {
	if id >= s.end || n > s.end-id {
		return fmt.Errorf("page %d: beyond the last", id)
	}
	for ; n > 0; id, n = id+1, n-1 {
		if bit := uint64(1) << (id % 64); s.seen[id/64]&bit == 0 {
			s.seen[id/64] |= bit
			continue
		}
		return fmt.Errorf("page %d: used twice", id)
	}
	return nil
}
