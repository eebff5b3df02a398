package simulate

// event is something that happens to an object at a node.
type event struct {
	at     int64 // nanoseconds
	number int64 // in the order in which events were made, which decides between those of one moment
	what   what
	node   int32
	object int32
	who    int32
}

type what uint8

const (
	proceeds what = iota // who, a process of the node, goes on to its next step
	asked                // who, a child, asks for the object
	landed               // the object has come from above, or from the PFS
)

// events is what is to happen: a heap by time, with four children per place.
type events struct {
	heap []event
	made int64
}

func (e *events) add(at int64, w what, node, object, who int32) {
	e.made++
	h := append(e.heap, event{at, e.made, w, node, object, who})
	i := len(h) - 1
	v := h[i]
	for i > 0 {
		up := (i - 1) / 4
		if !v.before(&h[up]) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = v
	e.heap = h
}

func (a *event) before(b *event) bool { return a.at < b.at || a.at == b.at && a.number < b.number }

// next takes the first event off; there must be one.
func (e *events) next() event {
	h := e.heap
	first := h[0]
	last := len(h) - 1
	v := h[last]
	h = h[:last]
	e.heap = h
	i := 0
	for {
		least := 4*i + 1
		if least >= last {
			break
		}
		for c := least + 1; c < min(4*i+5, last); c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if !h[least].before(&v) {
			break
		}
		h[i] = h[least]
		i = least
	}
	if last > 0 {
		h[i] = v
	}
	return first
}
