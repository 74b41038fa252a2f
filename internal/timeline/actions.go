package timeline

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// ActionsLog is the source of events read from an actions log.
const ActionsLog = "actions.log"

// Limits bound the reading of an actions log. A zero field stands for its
// default.
type Limits struct {
	// Line is the length that a line may have, in bytes; 64 KiB.
	Line int
	// Lines is the number of lines that are read; 100 000.
	Lines int
}

// layouts are the times of the guide's actions log and their close kin. A time
// without a zone is taken as UTC.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05Z0700",
	"2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999Z0700",
	"2006-01-02 15:04:05.999999999 Z07:00", "2006-01-02 15:04:05.999999999 Z0700", "2006-01-02 15:04:05.999999999 UTC",
}

// ReadActionsLog reads lines of the form "[time] text", as the guide's
// containment script writes them. Empty lines are passed over; every other
// line is either an event or, with its number and the reason, in skipped. An
// error is that of r; what was read before it is returned with it.
func ReadActionsLog(r io.Reader, lim Limits) (events []Event, skipped []string, err error) {
	lim.Line, lim.Lines = cmp.Or(lim.Line, 64<<10), cmp.Or(lim.Lines, 100_000)
	in := bufio.NewReaderSize(r, max(lim.Line, 16))
	for n := 1; ; n++ {
		line, tooLong, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return events, skipped, fmt.Errorf("read actions log: line %d: %w", n, err)
		}
		ended := err != nil && len(line) == 0
		switch {
		case ended:
			return events, skipped, nil
		case n > lim.Lines:
			return events, append(skipped, fmt.Sprintf("line %d and after: more than %d lines", n, lim.Lines)), nil
		case tooLong:
			skipped = append(skipped, fmt.Sprintf("line %d: longer than %d bytes", n, lim.Line))
		case len(bytes.TrimSpace(line)) == 0:
		default:
			event, problem := parseAction(strings.TrimSpace(string(line)))
			if problem != "" {
				skipped = append(skipped, fmt.Sprintf("line %d: %s", n, problem))
				continue
			}
			events = append(events, event)
		}
	}
}

// readLine returns the next line, or its beginning when it is longer than the
// reader's buffer. The line is good until the next call.
func readLine(in *bufio.Reader) (line []byte, tooLong bool, err error) {
	line, err = in.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) {
		tooLong = true
		line, err = in.ReadSlice('\n')
		if len(line) == 0 && errors.Is(err, io.EOF) {
			return []byte{'.'}, true, err
		}
	}
	return line, tooLong, err
}

func parseAction(line string) (e Event, problem string) {
	stamp, text, ok := strings.Cut(strings.TrimPrefix(line, "["), "]")
	if !ok || !strings.HasPrefix(line, "[") {
		return Event{}, fmt.Sprintf("not of the form [time] text: %.80q", line)
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, strings.TrimSpace(stamp)); err == nil {
			return Event{Timestamp: t.UTC(), Source: ActionsLog, Description: artifact.Quote(strings.TrimSpace(text))}, ""
		}
	}
	return Event{}, fmt.Sprintf("not a time: %.80q", stamp)
}
