package report

import (
	"fmt"
	"strings"
)

func (c Case) recommendationRows() (rows [][]string) {
	for _, r := range c.Recommendations {
		rows = append(rows, []string{r.Text, strings.Join(r.From, "; ")})
	}
	return rows
}

func (c Case) findingRows() (rows [][]string) {
	for _, f := range c.Findings {
		named := make([]string, 0, len(f.Atlas))
		for _, id := range f.Atlas {
			named = append(named, id+" "+techniqueName(id))
		}
		rows = append(rows, []string{f.Severity.String(), f.Type, strings.TrimSpace(f.Source + " " + f.File), f.Description, strings.Join(named, "; ")})
	}
	return rows
}

func (c Case) timelineRows() (rows [][]string) {
	for n, e := range c.Timeline {
		rows = append(rows, []string{fmt.Sprint(n + 1), stamp(e.Timestamp), e.Source, e.Actor, e.Description})
	}
	return rows
}

func (c Case) planRows() (rows [][]string) {
	for _, p := range c.Plans {
		for _, s := range p.Steps {
			rows = append(rows, []string{p.Hash.Hex(), string(p.Action), p.Model, s.ID + ": " + s.Summary, string(s.Status), s.Observation.Detail + by(s.Error)})
		}
	}
	return rows
}

func (c Case) evidenceRows() (rows [][]string) {
	for _, i := range c.Evidence {
		rows = append(rows, []string{i.Type, i.Name, i.Origin, i.SHA256.Hex(), fmt.Sprint(i.Size), stamp(i.CollectedAt), strings.Join(i.Missing, ", ")})
	}
	return rows
}

func (c Case) gapRows() (rows [][]string) {
	for _, g := range c.Gaps {
		rows = append(rows, []string{g.Type, g.Name, g.Origin, g.Reason})
	}
	return rows
}

func (c Case) deadlineRows() (rows [][]string) {
	for _, d := range c.Deadlines {
		rows = append(rows, deadlineRow(d))
	}
	return rows
}

func (c Case) sentRows() (rows [][]string) {
	for _, m := range c.Sent {
		rows = append(rows, []string{stamp(m.At), m.Template, fmt.Sprint(m.Number), m.SHA256.Hex(), strings.Join(m.Recipients, ", "), m.Channel, m.Receipt, m.Actor})
	}
	return rows
}

func (c Case) clauseRows() (rows [][]string) {
	for _, clause := range c.Clauses {
		rows = append(rows, []string{clause.Framework, clause.ID, clause.Name, clause.State, strings.Join(clause.From, "; ")})
	}
	return rows
}

func (c Case) deviationRows() (rows [][]string) {
	for _, d := range c.Deviations {
		rows = append(rows, []string{d.Kind, d.Where, d.Detail})
	}
	return rows
}

func (c Case) factRows() (rows [][]string) {
	for _, f := range c.Facts {
		rows = append(rows, []string{f.Name, f.Value, f.Reason, f.By, stamp(f.At)})
	}
	for _, n := range c.Notes {
		rows = append(rows, []string{"note", n.Text, "", n.By, stamp(n.At)})
	}
	return rows
}

func (c Case) taskRows() (rows [][]string) {
	for _, t := range c.Tasks {
		rows = append(rows, []string{t.ID, t.Text, or(stamp(t.DoneAt), "open")})
	}
	return rows
}
