package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// programs are Chromium's names, the one that Debian's smaller package has first.
var programs = []string{"chromium-headless-shell", "chromium"}

// Find returns the path of this machine's Chromium.
func Find() (string, error) {
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no Chromium (Debian: apt-get install chromium-headless-shell)")
}

// Browser is a running Chromium. It is for one goroutine.
type Browser struct {
	process  *exec.Cmd
	data     string // its profile's directory
	to       *os.File
	messages chan message // what it says, closed at its end
	last     int
	session  string // of the one page
	events   []message
}

// message is a command, an answer or an event of the DevTools protocol.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// Start starts a Chromium that has one empty page and no network of its own accord.
func Start(ctx context.Context) (b *Browser, err error) {
	program, err := Find()
	if err != nil {
		return nil, err
	}
	b = &Browser{messages: make(chan message)}
	if b.data, err = os.MkdirTemp("", "copper-browser-"); err != nil {
		return nil, err
	}
	in, to, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(b.data))
	}
	from, out, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, in.Close(), to.Close(), os.RemoveAll(b.data))
	}
	b.to = to
	b.process = exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--hide-scrollbars", "--user-data-dir="+b.data, "--remote-debugging-pipe", "about:blank")
	b.process.ExtraFiles = []*os.File{in, out} // 3 and 4
	b.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = b.process.Start()
	in.Close()
	out.Close()
	if err != nil {
		return nil, errors.Join(err, to.Close(), from.Close(), os.RemoveAll(b.data))
	}
	go b.listen(from)
	if err := b.attach(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// listen takes what the browser says apart until it ends.
func (b *Browser) listen(from io.ReadCloser) {
	defer close(b.messages)
	defer from.Close()
	for in := bufio.NewReader(from); ; {
		text, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(text[:len(text)-1], &m) == nil {
			b.messages <- m
		}
	}
}

// attach opens the page's session.
func (b *Browser) attach(ctx context.Context) error {
	var made struct {
		TargetID  string `json:"targetId"`
		SessionID string `json:"sessionId"`
	}
	if err := b.call(ctx, "Target.createTarget", map[string]any{"url": "about:blank"}, &made); err != nil {
		return err
	}
	if err := b.call(ctx, "Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &made); err != nil {
		return err
	}
	b.session = made.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		if err := b.call(ctx, domain+".enable", nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// call carries out a command and decodes its result; events that come meanwhile are kept.
func (b *Browser) call(ctx context.Context, method string, params, result any) error {
	b.last++
	command := message{ID: b.last, Session: b.session, Method: method}
	var err error
	if params != nil {
		if command.Params, err = json.Marshal(params); err != nil {
			return err
		}
	}
	text, err := json.Marshal(command)
	if err != nil {
		return err
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	for {
		m, err := b.next(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", method, err)
		case m.ID == 0:
			b.events = append(b.events, m)
		case m.ID != command.ID:
		case m.Error != nil:
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		case result != nil:
			return json.Unmarshal(m.Result, result)
		default:
			return nil
		}
	}
}

func (b *Browser) next(ctx context.Context) (message, error) {
	select {
	case m, ok := <-b.messages:
		if !ok {
			return m, errors.New("the browser has ended")
		}
		return m, nil
	case <-ctx.Done():
		return message{}, ctx.Err()
	}
}

// closeBound is how long the browser may take to end by itself.
const closeBound = 5 * time.Second

// Close ends the browser and removes what it wrote.
func (b *Browser) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeBound)
	defer cancel()
	b.session = ""
	_ = b.call(ctx, "Browser.close", nil, nil)
	b.to.Close()
	for open := true; open; { // listen waits for nobody
		select {
		case _, open = <-b.messages:
		case <-ctx.Done():
			_ = syscall.Kill(-b.process.Process.Pid, syscall.SIGKILL)
			ctx = context.Background()
		}
	}
	_ = syscall.Kill(-b.process.Process.Pid, syscall.SIGKILL) // its helpers
	_ = b.process.Wait()
	return os.RemoveAll(b.data)
}
