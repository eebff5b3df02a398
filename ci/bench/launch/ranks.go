package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// answered is what a rank's log tells of its mount: when it answered, and how long after it was asked.
var answered = regexp.MustCompile(`(?m)^time=(\S+) .*msg="the mount answers" .*\bafter=(\S+)$`)

// lastMounted is when the last of a job's mounts had been made, by the ranks' logs.
func lastMounted(logs string, ranks int) (last time.Time, err error) {
	paths, err := filepath.Glob(filepath.Join(logs, "*-output.log"))
	if err != nil {
		return last, err
	}
	if len(paths) != ranks {
		return last, fmt.Errorf("%s has the logs of %d ranks, want %d", logs, len(paths), ranks)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return last, err
		}
		found := answered.FindSubmatch(content)
		if found == nil {
			return last, fmt.Errorf("%s does not tell when the mount answered", path)
		}
		at, err := time.Parse(time.RFC3339Nano, string(found[1]))
		if err != nil {
			return last, err
		}
		after, err := time.ParseDuration(string(found[2]))
		if err != nil {
			return last, err
		}
		if made := at.Add(-after); made.After(last) {
			last = made
		}
	}
	return last, nil
}
