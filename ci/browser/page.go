package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Size is that of the window, in CSS pixels.
type Size struct{ Width, Height int }

// Sizes that pages are looked at in.
var (
	Desktop = Size{1280, 900}
	Phone   = Size{390, 844}
)

// Look is how a page is shown.
type Look struct {
	Size
	Dark bool
}

// Open shows a file and waits until it is loaded.
func (b *Browser) Open(ctx context.Context, file string, l Look) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	scheme := "light"
	if l.Dark {
		scheme = "dark"
	}
	if err := b.call(ctx, "Emulation.setDeviceMetricsOverride", map[string]any{"width": l.Width, "height": l.Height,
		"deviceScaleFactor": 1, "mobile": l.Width < 600}, nil); err != nil {
		return err
	}
	if err := b.call(ctx, "Emulation.setEmulatedMedia", map[string]any{
		"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil); err != nil {
		return err
	}
	b.events = nil
	var gone struct {
		ErrorText string `json:"errorText"`
	}
	if err := b.call(ctx, "Page.navigate", map[string]any{"url": "file://" + file}, &gone); err != nil {
		return err
	}
	if gone.ErrorText != "" {
		return fmt.Errorf("%s: %s", file, gone.ErrorText)
	}
	for !b.saw("Page.loadEventFired") {
		m, err := b.next(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if m.ID == 0 {
			b.events = append(b.events, m)
		}
	}
	return nil
}

func (b *Browser) saw(method string) bool {
	for _, e := range b.events {
		if e.Method == method {
			return true
		}
	}
	return false
}

// Evaluate runs an expression of JavaScript in the page and decodes its value.
func (b *Browser) Evaluate(ctx context.Context, expression string, value any) error {
	var got struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception *struct {
			Text string `json:"text"`
		} `json:"exceptionDetails"`
	}
	if err := b.call(ctx, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &got); err != nil {
		return err
	}
	if got.Exception != nil {
		return fmt.Errorf("%s: %s", got.Exception.Text, expression)
	}
	return json.Unmarshal(got.Result.Value, value)
}

// Complaints are what the page wrote to its console, errors among it, and what it asked of a network or
// of the disk beside the page itself, since it was opened.
func (b *Browser) Complaints() (all []string) {
	for _, e := range b.events {
		switch e.Method {
		case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded":
			all = append(all, e.Method+" "+string(e.Params))
		case "Network.requestWillBeSent":
			var sent struct {
				Type    string `json:"type"`
				Request struct {
					URL string `json:"url"`
				} `json:"request"`
			}
			if json.Unmarshal(e.Params, &sent) != nil || sent.Type != "Document" || !strings.HasPrefix(sent.Request.URL, "file://") {
				all = append(all, "it asked for "+sent.Request.URL)
			}
		}
	}
	return all
}

// Screenshot takes a picture, as PNG, of the window, or of the whole page.
func (b *Browser) Screenshot(ctx context.Context, file string, whole bool) error {
	var taken struct {
		Data []byte `json:"data"`
	}
	if err := b.call(ctx, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": whole}, &taken); err != nil {
		return err
	}
	return os.WriteFile(file, taken.Data, 0o644)
}

// Print makes a PDF of the page, on A4.
func (b *Browser) Print(ctx context.Context, file string) error {
	var printed struct {
		Data []byte `json:"data"`
	}
	if err := b.call(ctx, "Page.printToPDF", map[string]any{"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": false}, &printed); err != nil {
		return err
	}
	return os.WriteFile(file, printed.Data, 0o644)
}
