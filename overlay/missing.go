package overlay

import "encoding/binary"

const (
	// MaxReasons is of how many missing nodes it is told why they are.
	MaxReasons = 64
	// maxReason is how many bytes of such a reason travel.
	maxReason = 255
)

// join makes one list of two, with the reasons of the first few.
func join(a, b []Missing) []Missing {
	all := append(a, b...)
	reasons := 0
	for i := range all {
		if all[i].Err == "" {
			continue
		}
		if reasons++; reasons > MaxReasons {
			all[i].Err = ""
		}
	}
	return all
}

// rest are the nodes of a branch that are not known to be missing, which are missing too now.
func (o *Overlay) rest(b branch, known []Missing, why string) []Missing {
	gone := make(map[int]bool, len(known))
	for _, m := range known {
		gone[m.Rank] = true
	}
	var rest []Missing
	for position := b.lo; position < b.hi; position++ {
		if rank := o.forest.Rank(controlTree, position); !gone[rank] {
			rest = append(rest, Missing{rank, why})
		}
	}
	return rest
}

// What a node gathered travels as
//
//	there   u8    1 if there is a body
//	count   u32   of the missing nodes
//	missing       count of {rank u32, length of the reason u8, reason}
//	body

func encodeGathered(g Gathered) []byte {
	b := make([]byte, 0, 5+6*len(g.Missing)+len(g.Body))
	b = append(b, bit(g.Body != nil))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(g.Missing)))
	for _, m := range g.Missing {
		why := m.Err[:min(len(m.Err), maxReason)]
		b = binary.LittleEndian.AppendUint32(b, uint32(m.Rank))
		b = append(append(b, byte(len(why))), why...)
	}
	return append(b, g.Body...)
}

// decodeGathered decodes what a node gathered of its subtree, or of itself alone: of others it can't speak, and
// of each once.
func (o *Overlay) decodeGathered(payload []byte, rank int, alone bool) (Gathered, error) {
	lo := o.forest.Position(controlTree, rank)
	hi := o.forest.end(lo)
	if alone {
		hi = lo + 1
	}
	d := decoder{rest: payload}
	there, count := d.u8() != 0, int(d.u32())
	if d.broken || count > hi-lo {
		return Gathered{}, errMalformed
	}
	g := Gathered{}
	told := make(map[int]bool, count)
	for range count {
		m := Missing{Rank: int(d.u32()), Err: string(d.take(int(d.u8())))}
		if d.broken || m.Rank >= len(o.nodes) || told[m.Rank] {
			return Gathered{}, errMalformed
		}
		if position := o.forest.Position(controlTree, m.Rank); position < lo || position >= hi {
			return Gathered{}, errMalformed
		}
		told[m.Rank] = true
		g.Missing = append(g.Missing, m)
	}
	g.Missing = join(g.Missing, nil)
	if !there && (count < hi-lo || len(d.rest) > 0) || there && count == hi-lo {
		return Gathered{}, errMalformed // some have answered, and nothing; or nobody has, and something
	}
	if there {
		g.Body = append([]byte{}, d.remainder()...) // never nil
	}
	return g, nil
}
