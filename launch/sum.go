package launch

import "encoding/json"

// Sum joins the answers of nodes to one request, on their way to who asks.
type Sum interface {
	// Add joins an answer or what Bytes of another Sum returned. If it fails, the sum stays as it was.
	Add(body []byte) error
	Bytes() ([]byte, error)
}

// NewSum is the empty sum of the answers to a request. That of a bad one takes no answers.
func NewSum(req []byte) Sum {
	r, err := decodeRequest(req)
	switch r.Op {
	case OpStatus, OpStop:
		return &sum[Summary]{err: err, join: (*Summary).add}
	case OpHold, OpClear:
		return &sum[Cleared]{err: err, join: func(all, one *Cleared) { all.Entries += one.Entries }}
	case OpWarm:
		return &sum[Warmth]{err: err, join: func(all, one *Warmth) { *all = all.Plus(*one) }}
	}
	return &sum[struct{}]{err: err, join: func(_, _ *struct{}) {}}
}

type sum[T any] struct {
	all  T
	join func(all, one *T)
	err  error // why there can be none
}

func (s *sum[T]) Add(body []byte) error {
	var one T
	if s.err != nil {
		return s.err
	}
	if err := json.Unmarshal(body, &one); err != nil {
		return err
	}
	s.join(&s.all, &one)
	return nil
}

func (s *sum[T]) Bytes() ([]byte, error) { return json.Marshal(&s.all) }
