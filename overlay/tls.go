package overlay

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
)

// Encryption is TLS 1.3, begun after the hello, when both ends know that they want it. There is no
// public-key infrastructure: a listener's certificate is made at its first use, lives in memory and
// is verified by nobody. Who is at the other end is what the proofs of the handshake tell, and they
// cover the TLS channel's own keying material (RFC 9266, tls-exporter), which no two channels
// share. Somebody in the middle has one channel with either end, and can use the proofs of neither
// for the other.
const (
	bindingLabel = "EXPORTER-Channel-Binding"
	bindingSize  = 32
)

// encryptListener begins encryption on the listener's end. It returns the connection as it goes on
// and its channel binding.
func encryptListener(conn net.Conn) (net.Conn, []byte, error) {
	cert, err := certificate()
	if err != nil {
		return nil, nil, err
	}
	return encrypt(conn, tls.Server(conn, &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert},
		SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true,
	}))
}

// encryptDialler begins encryption on the dialler's end. The listener may refuse the hello me
// instead, in plain; the error says why then.
func encryptDialler(conn net.Conn, me hello) (net.Conn, []byte, error) {
	return encrypt(conn, tls.Client(&refusable{Conn: conn, hello: me}, &tls.Config{
		MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true,
		InsecureSkipVerify: true, // the channel binding in the proofs does that
	}))
}

func encrypt(conn net.Conn, t *tls.Conn) (net.Conn, []byte, error) {
	if err := t.Handshake(); err != nil {
		return nil, nil, err
	}
	state := t.ConnectionState()
	binding, err := state.ExportKeyingMaterial(bindingLabel, nil, bindingSize)
	if err != nil {
		return nil, nil, err
	}
	return encrypted{t, conn}, binding, nil
}

// certificate is this process's own.
var certificate = sync.OnceValues(func() (tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	blank := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, blank, blank, public, private)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
})

// encrypted is a connection under TLS. It is closed without TLS's farewell, which would wait for an
// end that doesn't read: frames have lengths, so none that is cut short is taken for whole.
type encrypted struct {
	*tls.Conn
	under net.Conn
}

func (e encrypted) Close() error { return e.under.Close() }

// refusable is a dialler's connection on which the first that comes may be a refusal where TLS is
// expected.
type refusable struct {
	net.Conn
	hello hello
	asked bool
	head  []byte // read, and not passed on yet
}

func (r *refusable) Read(p []byte) (int, error) {
	if !r.asked {
		r.asked = true
		answer := make([]byte, challengeSize)
		if _, err := io.ReadFull(r.Conn, answer[:len(magic)]); err != nil {
			return 0, err
		}
		r.head = answer[:len(magic)]
		if string(r.head) == magic {
			if _, err := io.ReadFull(r.Conn, answer[len(magic):]); err != nil {
				return 0, err
			}
			if err := r.hello.accepts(answer); err != nil {
				return 0, err
			}
			return 0, errors.New("it answers unencrypted")
		}
	}
	if len(r.head) > 0 {
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}
