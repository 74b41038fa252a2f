package playbook

// The ids of the steps, in their order.
const (
	Record      = "record"
	Triage      = "triage"
	Declare     = "declare"
	Freeze      = "freeze"
	CutTraffic  = "cut_traffic"
	Quarantine  = "quarantine"
	Preserve    = "preserve"
	BlastRadius = "blast_radius"
	Notify      = "notify"
	Rotate      = "rotate"
	Select      = "select_target"
	Restore     = "restore"
	RootCause   = "root_cause"
	Monitor     = "monitor"
	Review      = "review"
)

// steps is the order. It follows NIST SP 800-61r3 with CSF 2.0, the CISA
// incident response playbook, and RFC 3227 for what vanishes first.
func steps() []Step {
	var all []Step
	all = append(all, understandSteps()...)
	all = append(all, containSteps()...)
	all = append(all, assessSteps()...)
	return append(all, recoverSteps()...)
}

func understandSteps() []Step {
	return []Step{
		{
			Number: 0, ID: Record, Title: "Start the record",
			After: []string{}, Parallel: []string{}, CSF: []string{"DE.AE-02", "DE.AE-06"},
			Reason: "Deadlines and custody count from the first sign; what is written down later is memory.",
			Commands: []string{
				"weightwarden check -o json",
				"weightwarden incident open --model ID --severity S --summary TEXT --from-check FILE",
			},
		},
		{
			Number: 1, ID: Triage, Title: "Confirm by a second, independent look",
			After: []string{Record}, Parallel: []string{BlastRadius}, CSF: []string{"RS.MA-02"},
			Reason:   "A model stopped by a false alarm is an outage of our own making. Give it 15 minutes at most: what is not refuted by then counts as real.",
			Commands: []string{"weightwarden check MODEL"},
			People:   "Rule out a release in progress, a copy that was cut short, a failing disk and a wrong baseline.",
		},
		{
			Number: 2, ID: Declare, Title: "Declare the incident, set its severity, name a commander",
			After: []string{Triage}, Parallel: []string{BlastRadius}, CSF: []string{"RS.MA-01", "RS.MA-03", "DE.AE-08"},
			Reason:   "One person decides, approvals need somebody to give them, and the clocks of the messages start.",
			Commands: []string{"weightwarden incident fact ID commander NAME"},
			People:   "Keep the circle small until an insider is excluded.",
		},
	}
}

func containSteps() []Step {
	return []Step{
		{
			Number: 3, ID: Freeze, Title: "Freeze change",
			After: []string{Declare}, Parallel: []string{CutTraffic}, CSF: []string{"RS.MI-01"}, Gates: []string{"G1", "G3"},
			Reason:   "Otherwise whatever deploys, scales or cleans up undoes the containment, deletes evidence, or fetches the bad version again.",
			Commands: []string{"weightwarden incident isolate ID --apply (puts the digest on the deny-list)"},
			People:   "Suspend deployments, autoscaling, garbage collection of images and model caches, and retention in the registry.",
		},
		{
			Number: 4, ID: CutTraffic, Title: "Cut traffic, leave the processes alive",
			After: []string{Declare}, Parallel: []string{Freeze, Notify}, CSF: []string{"RS.MI-01"}, Gates: []string{"G1"},
			Reason:   "It stops the harm without destroying what memory and sockets can still tell. A critical case may do this before it is confirmed, where that was agreed beforehand.",
			Commands: []string{},
			People:   "Take the model out of the load balancer, service or route, and probe that it does not answer any more.",
		},
		{
			Number: 5, ID: Quarantine, Title: "Detach and quarantine",
			After: []string{Freeze, CutTraffic}, Parallel: []string{Preserve, Notify}, CSF: []string{"RS.MI-01"}, Gates: []string{"G1", "G2", "G10"},
			Reason: "Nothing may load the tampered files again, and they must survive as evidence. Moving a model directory ends its state, so the program does it only behind sealed evidence (step 6).",
			Commands: []string{
				"weightwarden incident isolate ID",
				"weightwarden incident isolate ID --apply",
				"weightwarden incident undo ID",
				"weightwarden incident resume ID",
			},
			People: "Cut the network of the processes in both directions and revoke their accounts.",
		},
	}
}

func assessSteps() []Step {
	return []Step{
		{
			Number: 6, ID: Preserve, Title: "Preserve the evidence, what vanishes soonest first, and seal it",
			After: []string{CutTraffic}, Parallel: []string{Quarantine, BlastRadius, Notify}, CSF: []string{"RS.AN-06", "RS.AN-07"},
			Reason:   "It cannot be done again later. Where quarantine would end what is to be captured, this comes before it.",
			Commands: []string{"weightwarden incident assess ID"},
			People:   "Save process memory, and the logs and events that expire within the hour. Do not restart, redeploy or delete.",
		},
		{
			Number: 7, ID: BlastRadius, Title: "Assess the blast radius",
			After: []string{Record}, Parallel: []string{Preserve, Notify, Rotate}, CSF: []string{"RS.AN-08", "RS.AN-03"}, Gates: []string{"G7"},
			Reason: "It sizes everything else, and each new place that is found goes through steps 3 to 6. A place that cannot be reached counts as affected.",
			Commands: []string{
				"weightwarden check",
				"weightwarden incident investigate ID --reference DIR --log FILE",
				"weightwarden incident fact ID first_bad_at TIME",
			},
			People: "Look for copies, caches, derived models, decisions made with the model, credentials and data within its reach.",
		},
		{
			Number: 8, ID: Notify, Title: "Notify",
			After: []string{Declare}, Parallel: []string{CutTraffic, Preserve, BlastRadius}, CSF: []string{"RS.CO-02", "RS.CO-03"}, Gates: []string{"G12"},
			Reason: "People act on what they know, so this does not wait for the root cause: the first alert within 1 hour, an update every 4 hours.",
			Commands: []string{
				"weightwarden incident message ID initial_alert",
				"weightwarden incident message ID stakeholder_update",
			},
			People: "Send the messages, over a channel that the attacker does not read. Ask counsel which legal deadlines apply.",
		},
		{
			Number: 9, ID: Rotate, Title: "Rotate secrets",
			After: []string{Preserve}, Parallel: []string{BlastRadius, Select}, CSF: []string{"RS.MI-02"}, Gates: []string{"G8"},
			Reason:   "Restoring with stolen credentials opens the hole again; rotating before the capture warns the attacker and ends sessions that are evidence.",
			Commands: []string{"weightwarden incident show ID (lists the secrets to rotate as open tasks)"},
			People:   "Rotate registry tokens, keys of the inference pipeline, secrets of the build pipeline; signing keys if the tampered version carries a valid signature.",
		},
	}
}

func recoverSteps() []Step {
	return []Step{
		{
			Number: 10, ID: Select, Title: "Select and verify the version to go back to",
			After: []string{Preserve, BlastRadius}, Parallel: []string{Rotate}, CSF: []string{"RC.RP-03"}, Gates: []string{"G4"},
			Reason:   "The previous version is not a safe one by being previous: it must verify now, not be deny-listed, and be older than the first bad time.",
			Commands: []string{"weightwarden verify PATH --public-key KEY", "weightwarden incident rollback ID"},
		},
		{
			Number: 11, ID: Restore, Title: "Roll back",
			After: []string{Preserve, Quarantine, Rotate, Select}, Parallel: []string{RootCause}, CSF: []string{"RC.RP-02", "RC.RP-05"},
			Gates:  []string{"G2", "G4", "G5", "G6", "G9", "G10"},
			Reason: "What is restored is verified again where it is served from, and only then may traffic return.",
			Commands: []string{
				"weightwarden incident rollback ID --apply",
				"weightwarden incident resume ID",
				"weightwarden incident undo ID",
			},
			People: "Restart what serves the model, test it, then let traffic back.",
		},
		{
			Number: 12, ID: RootCause, Title: "Find the root cause and remove it",
			After: []string{Preserve}, Parallel: []string{Restore}, CSF: []string{"RS.AN-03", "RS.MI-02"},
			Reason: "It needs the preserved state, and may take longer than the service can wait for.",
			Commands: []string{
				"weightwarden incident investigate ID --reference DIR --log FILE",
				"weightwarden incident timeline ID",
				"weightwarden incident note ID TEXT",
			},
			People: "Find how the bytes got there, and what the attacker left to come back.",
		},
		{
			Number: 13, ID: Monitor, Title: "Recover and watch more closely",
			After: []string{Restore, RootCause}, Parallel: []string{Review}, CSF: []string{"RC.RP-05", "RC.RP-06"}, Gates: []string{"G7", "G8"},
			Reason:   "Who came once knows the way. The freeze is lifted in reverse order, while somebody looks.",
			Commands: []string{"weightwarden watch", "weightwarden check MODEL"},
			People:   "Shorten the check interval for some days and lift the freeze step by step.",
		},
		{
			Number: 14, ID: Review, Title: "Close and review",
			After: []string{Restore, RootCause}, Parallel: []string{Monitor}, CSF: []string{"ID.IM", "RC.RP-06", "RC.CO-04"}, Gates: []string{"G12"},
			Reason: "The report is due 5 business days after closing, while people remember; without owners and dates nothing changes.",
			Commands: []string{
				"weightwarden incident verify ID",
				"weightwarden incident report ID",
				"weightwarden incident message ID post_incident_report",
				"weightwarden incident close ID",
			},
			People: "Hold the review without blame, and give every action an owner and a date.",
		},
	}
}

func gates() []Gate {
	return []Gate{
		{"G1", "declared: nothing is changed without an incident and a commander"},
		{"G2", "evidence before destruction: what a step ends is sealed first"},
		{"G3", "frozen before detached: what would replace or restart the model is blocked first"},
		{"G4", "verified target only: signature and every file verify now, not deny-listed, older than the first bad time; there is no way round this"},
		{"G5", "verified at the destination: done means that the bytes in place are the verified ones"},
		{"G6", "second person: with approvers configured, who asks does not approve, and an approval holds for one plan only"},
		{"G7", "complete blast radius: no recovery while it is unknown where the model is"},
		{"G8", "secrets before traffic: rotation is done or waived before the service opens again"},
		{"G9", "no drift: what the plan was made from still holds when a step is carried out"},
		{"G10", "undo recorded: the exact inverse is written down before a step is carried out"},
		{"G12", "messages: an incident is not closed while a message that is due was not written"},
	}
}
