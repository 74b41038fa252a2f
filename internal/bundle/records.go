package bundle

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// maxLocated is up to how many bytes a log is held in memory to say exactly
// what happened to it. In a longer one the first place is named.
const maxLocated = 16 << 20

// sealedIn yields the items that rows say were sealed. What cannot be read is
// left out: the verification of the log names it.
func sealedIn(rows []evidence.Stored) iter.Seq[evidence.Item] {
	return func(yield func(evidence.Item) bool) {
		for _, r := range rows {
			if item, ok := sealedItem(r.Raw); ok && !yield(item) {
				return
			}
		}
	}
}

func sealedItem(raw []byte) (item evidence.Item, ok bool) {
	if !bytes.Contains(raw, []byte(incident.KindSealed)) {
		return item, false // most entries; this is cheaper than reading them
	}
	e, err := evidence.ParseEntry(raw)
	if err != nil || e.Kind != incident.KindSealed {
		return item, false
	}
	return item, e.Decode(&item) == nil
}

// records verifies the logs in the bundle, and that the evidence in it is the
// evidence that the incident's log speaks of.
func (v *verifier) records() error {
	if v.key.Name == "" {
		return nil // without a seal there is no key, and that was said
	}
	v.sortCheckpoints()
	var used []bool
	auditor := incident.Auditor{Log: v.manifest.Incident}
	n, err := v.log(v.manifest.Incident, entriesName, notesName, func(raw []byte) {
		auditor.See(raw)
		if item, ok := sealedItem(raw); ok {
			used = v.item(item, used)
		} else if stamp, ok := stampIn(raw); ok {
			v.report.Stamps = append(v.report.Stamps, stamp)
		}
	})
	if err != nil {
		return err
	}
	v.report.Entries = n
	for _, p := range auditor.Problems {
		v.add(Record, v.manifest.Incident, v.places[entriesName].at, 0, "%s: %s", p.Kind, p.Detail)
	}
	if err := v.stamped(); err != nil {
		return err
	}
	if _, err := v.log(v.manifest.HostLog, hostEntriesName, hostNotesName, func([]byte) {}); err != nil {
		return err
	}
	for i, m := range v.members {
		if strings.HasPrefix(m.Name, evidenceDir) && (i >= len(used) || !used[i]) {
			v.add(Added, m.Name, v.places[m.Name].at, m.Size, "no entry of the record speaks of this evidence")
		}
	}
	return v.ownKey()
}

// maxStamps is how many time stamps of a record are looked at.
const maxStamps = 1000

func stampIn(raw []byte) (stamp incident.Stamped, ok bool) {
	if !bytes.Contains(raw, []byte(incident.KindStamped)) {
		return stamp, false
	}
	e, err := evidence.ParseEntry(raw)
	if err != nil || e.Kind != incident.KindStamped {
		return stamp, false
	}
	return stamp, e.Decode(&stamp) == nil
}

// stamped keeps of the time stamps those whose checkpoint is one of the log,
// and so was held against its entries. Any other says nothing about them.
func (v *verifier) stamped() error {
	if len(v.report.Stamps) > maxStamps {
		v.add(Record, entriesName, v.places[entriesName].at, 0, "more than %d time stamps", maxStamps)
		v.report.Stamps = v.report.Stamps[:maxStamps]
	}
	there := map[string]bool{}
	for _, s := range v.report.Stamps {
		there[s.Checkpoint] = false
	}
	var readErr error
	v.lines(v.places[notesName], &readErr, func(l []byte) bool {
		var note string
		if err := json.Unmarshal(l, &note); err != nil {
			return true // which was said
		}
		if _, asked := there[note]; asked {
			there[note] = true
		}
		return true
	})
	v.report.Stamps = slices.DeleteFunc(v.report.Stamps, func(s incident.Stamped) bool {
		if !there[s.Checkpoint] {
			v.add(Record, entriesName, v.places[entriesName].at, 0, "a time stamp of %s is of a checkpoint that is not in the bundle", artifact.Quote(s.Signer))
		}
		return !there[s.Checkpoint]
	})
	return unreadable(readErr)
}

// sortCheckpoints verifies the checkpoints from elsewhere and finds the log
// that each speaks of.
func (v *verifier) sortCheckpoints() {
	v.trusted = map[string][]string{}
	for _, note := range v.options.Checkpoints {
		c, err := evidence.OpenCheckpoint(note, v.key)
		switch {
		case err != nil:
			v.add(Record, "", 0, 0, "a checkpoint from elsewhere does not verify: %s", artifact.Quote(err.Error()))
		case c.Origin == v.key.Origin(v.manifest.Incident):
			v.trusted[v.manifest.Incident] = append(v.trusted[v.manifest.Incident], note)
		case c.Origin == v.key.Origin(v.manifest.HostLog):
			v.trusted[v.manifest.HostLog] = append(v.trusted[v.manifest.HostLog], note)
		default:
			v.add(Record, "", 0, 0, "a checkpoint from elsewhere speaks of %s, which is not in the bundle", artifact.Quote(c.Origin))
		}
	}
}

// item finds the evidence of an item among the members.
func (v *verifier) item(item evidence.Item, used []bool) []bool {
	if used == nil {
		used = make([]bool, len(v.members))
	}
	name := evidenceDir + item.SHA256.Hex()
	i, ok := slices.BinarySearchFunc(v.members, name, func(m Member, name string) int { return strings.Compare(m.Name, name) })
	switch {
	case !ok:
		v.add(Missing, name, 0, 0, "the record says that %s was sealed, and it is not in the bundle", artifact.Quote(item.Name))
	case used[i]:
	default:
		used[i] = true
		v.report.Items++
		if v.members[i].Size != item.Size && v.members[i].SHA256 == item.SHA256 {
			v.add(Record, name, v.places[name].at, 0, "the record says %d bytes of %s, which has %d", item.Size, artifact.Quote(item.Name), v.members[i].Size)
		}
	}
	return used
}

// ownKey holds the readable copy of the key against the seal.
func (v *verifier) ownKey() error {
	place, ok := v.places[keyName]
	if !ok {
		return nil
	}
	if place.size > maxKey {
		v.add(Altered, keyName, place.at, place.size, "a key of %d bytes", place.size)
		return nil
	}
	text := make([]byte, place.size)
	if _, err := v.r.ReadAt(text, place.at); err != nil && !errors.Is(err, io.EOF) {
		return unreadable(err)
	}
	if string(text) != v.key.String()+"\n" {
		v.add(Altered, keyName, place.at, place.size, "it is not the key of the seal")
	}
	return nil
}

// log verifies one log, entry by entry, and shows each to look.
func (v *verifier) log(name, entries, notes string, look func(raw []byte)) (uint64, error) {
	rows, found := v.places[entries]
	signed, found2 := v.places[notes]
	if !found || !found2 {
		return 0, nil // missing, and said so
	}
	trusted := v.trusted[name]
	var readErr error
	check := evidence.Replay{Log: name, Key: v.key, Trusted: trusted, Notes: func(yield func(string) bool) {
		v.lines(signed, &readErr, func(l []byte) bool {
			var note string
			if err := json.Unmarshal(l, &note); err != nil {
				note = string(l) // which is no checkpoint, and will be called so
			}
			return yield(note)
		})
	}, Rows: func(yield func([]byte) bool) {
		v.lines(rows, &readErr, func(l []byte) bool { look(l); return yield(l) })
	}}
	n, err := check.Run()
	if readErr != nil {
		return 0, unreadable(readErr)
	}
	if err != nil {
		v.locate(name, rows, signed, trusted, err)
	}
	return n, v.ctx.Err()
}

// locate says exactly what happened to a log that does not verify.
func (v *verifier) locate(name string, rows, signed span, trusted []string, cause error) {
	if rows.size+signed.size > maxLocated {
		v.add(Record, entriesName, rows.at, rows.size, "log %s: %v", artifact.Quote(name), cause)
		return
	}
	state := evidence.LogState{Log: name, Trusted: trusted}
	offsets := map[uint64]int64{}
	var readErr error
	at := rows.at
	v.lines(rows, &readErr, func(l []byte) bool {
		seq := uint64(len(state.Rows) + 1)
		state.Rows = append(state.Rows, evidence.Stored{Seq: seq, Raw: bytes.Clone(l)})
		offsets[seq] = at
		at += int64(len(l)) + 1
		return true
	})
	v.lines(signed, &readErr, func(l []byte) bool {
		var note string
		_ = json.Unmarshal(l, &note) // an empty note is no checkpoint either
		state.Notes = append(state.Notes, note)
		return true
	})
	problems := evidence.VerifyLog(state, v.key)
	for _, p := range problems {
		offset, ok := offsets[p.Seq]
		if !ok {
			offset = rows.at
		}
		v.add(Record, name, offset, 0, "%s: %s", p.Kind, p.Detail)
	}
	if len(problems) == 0 {
		v.add(Record, name, rows.at, 0, "log %s: %v", artifact.Quote(name), cause)
	}
}

// lines reads the lines of a member until yield is false.
func (v *verifier) lines(s span, failure *error, yield func([]byte) bool) {
	sc := bufio.NewScanner(io.NewSectionReader(v.r, s.at, s.size))
	sc.Buffer(make([]byte, 0, 64<<10), maxLine+1)
	sc.Split(splitNewline)
	for sc.Scan() {
		if v.ctx.Err() != nil || !yield(sc.Bytes()) {
			return
		}
	}
	if err := sc.Err(); err != nil && *failure == nil {
		*failure = fmt.Errorf("lines at byte %d: %w", s.at, err)
	}
}

// splitNewline splits at newlines only: a carriage return is content.
func splitNewline(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
