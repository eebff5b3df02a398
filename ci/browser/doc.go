// Package browser looks at a page in headless Chromium, for the tests of what Copper writes as HTML and
// for pictures of it. It speaks the DevTools protocol over a pipe, so it needs neither a port nor a
// library of its own.
package browser
