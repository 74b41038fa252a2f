package report

import "io"

// WriteTimesketch writes the timeline as JSON Lines with the fields that
// Timesketch asks for: message, datetime and timestamp_desc.
func WriteTimesketch(w io.Writer, c Case) error {
	for _, e := range c.Timeline {
		line := object{
			"message": phrase(e.Description, "no description"), "datetime": e.Timestamp.UTC().Format("2006-01-02T15:04:05.000000+00:00"),
			"timestamp_desc": phrase(e.Kind, "event"), "source": phrase(e.Source, "unknown"), "actor": phrase(e.Actor, ""),
			"incident_id": c.IncidentID, "entry": e.Seq,
		}
		if err := encode(w, line, ""); err != nil {
			return writing("Timesketch timeline", err)
		}
	}
	return nil
}
