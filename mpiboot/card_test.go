package mpiboot

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func anyCard(t *rapid.T) Card {
	c := Card{
		Rank:    rapid.IntRange(0, 1<<31-1).Draw(t, "rank"),
		PID:     rapid.IntRange(0, 1<<31-1).Draw(t, "pid"),
		Version: rapid.IntRange(0, 1<<31-1).Draw(t, "version"),
		Host:    rapid.StringN(1, -1, maxHost).Draw(t, "host"),
		Mount:   rapid.StringN(0, -1, maxMount).Draw(t, "mount"),

		Interfaces: rapid.StringN(0, -1, maxInterfaces).Draw(t, "interfaces"),
		Note:       rapid.StringN(0, -1, maxNote).Draw(t, "note"),
	}
	if n := rapid.IntRange(0, maxEndpoints).Draw(t, "endpoints"); n > 0 {
		c.Endpoints = rapid.SliceOfN(rapid.StringN(1, -1, maxEndpoint), n, n).Draw(t, "endpoint")
	}
	return c
}

func TestCardSurvivesItsEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCard(t)
		b, err := appendCard(nil, c)
		if err != nil {
			t.Fatal(err)
		}
		if 1+secretSize+len(b) > maxRecord {
			t.Fatalf("encoding of %d bytes: no room in a record of %d", len(b), maxRecord)
		}
		got, err := decodeCard(b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, c) {
			t.Fatalf("got %+v, want %+v", got, c)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if _, err := decodeCard(b[:cut]); !errors.Is(err, errCardShort) {
			t.Fatalf("%d of %d bytes: %v, want %v", cut, len(b), err, errCardShort)
		}
	})
}

func TestCardOutOfBoundsIsRefused(t *testing.T) {
	good := Card{Host: "n1", Endpoints: []string{"a"}}
	if _, err := appendCard(nil, good); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*Card){
		"host name of 0":      func(c *Card) { c.Host = "" },
		"host name of 256":    func(c *Card) { c.Host = strings.Repeat("h", 256) },
		"65 endpoints":        func(c *Card) { c.Endpoints = make([]string, 65) },
		"endpoint of 0":       func(c *Card) { c.Endpoints = []string{""} },
		"endpoint of 256":     func(c *Card) { c.Endpoints = []string{strings.Repeat("e", 256)} },
		"mount point of 4097": func(c *Card) { c.Mount = strings.Repeat("m", 4097) },
		"interfaces in 2049":  func(c *Card) { c.Interfaces = strings.Repeat("i", 2049) },
		"note of 2049":        func(c *Card) { c.Note = strings.Repeat("n", 2049) },
		"rank -1":             func(c *Card) { c.Rank = -1 },
		"process id -1":       func(c *Card) { c.PID = -1 },
		"version 2147483648":  func(c *Card) { c.Version = 1 << 31 },
	} {
		c := good
		spoil(&c)
		if _, err := appendCard(nil, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
}

func TestCardDecodeErrors(t *testing.T) {
	good, err := appendCard(nil, Card{Host: "n1", Mount: "/m", Endpoints: []string{"tcp://10.0.0.1:7"}})
	if err != nil {
		t.Fatal(err)
	}
	const hostLength = 1 + 3*4
	for want, b := range map[string][]byte{
		"ends too early":    {},
		"in format 1":       append([]byte{1}, good[1:]...),
		"2 bytes too many":  append(bytes.Clone(good), 0, 0),
		"string of 65535":   append(append(bytes.Clone(good[:hostLength]), 0xff, 0xff), good[hostLength+2:]...),
		"host name of 0":    withoutHost(good),
		"rank 4278190080 i": append([]byte{cardFormat, 0xff}, good[2:]...),
	} {
		if _, err := decodeCard(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
}

// withoutHost is card with the host name taken out of it.
func withoutHost(card []byte) []byte {
	const host = 1 + 3*4
	return append(append(bytes.Clone(card[:host]), 0, 0), card[host+2+len("n1"):]...)
}

// What is accepted is what would have been written: a card has one encoding.
func FuzzDecodeCard(f *testing.F) {
	for _, c := range []Card{
		{Host: "n"},
		{Rank: 3, Host: "x4000c0s0b0n0", PID: 4711, Version: 1, Mount: "/tmp/u/copper", Interfaces: "10.0.0.1 | NA | NA", Note: "no such device",
			Endpoints: []string{"tcp://10.0.0.1:7", "ofi+cxi://0x00916600"}},
	} {
		b, err := appendCard(nil, c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCard(b)
		if err != nil {
			return
		}
		again, err := appendCard(nil, c)
		if err != nil {
			t.Fatalf("%+v was decoded but cannot be encoded: %v", c, err)
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("encoded again: %x, was %x", again, b)
		}
	})
}
