package pickle

import (
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// The rules.
const (
	ruleDangerous = "WW-PICKLE-001"
	ruleUnknown   = "WW-PICKLE-002"
	ruleWalk      = "WW-PICKLE-003"
	ruleComputed  = "WW-PICKLE-004"
	ruleCall      = "WW-PICKLE-005"
	ruleMutate    = "WW-PICKLE-006"
	ruleRole      = "WW-PICKLE-007"
	ruleExtension = "WW-PICKLE-008"
	ruleNested    = "WW-PICKLE-009"
	rulePersID    = "WW-PICKLE-010"
	ruleFrame     = "WW-PICKLE-011"
	ruleExpands   = "WW-PICKLE-012"
	ruleOdd       = "WW-PICKLE-013"
	ruleBroken    = "WW-PICKLE-014"
	ruleLimit     = "WW-PICKLE-015"
	ruleTail      = "WW-PICKLE-016"
	ruleArray     = "WW-PICKLE-017"
	ruleLegacy    = "WW-PICKLE-018"
)

const (
	stop   = "Do not load the file. If it was loaded, treat the host as compromised, and keep the file as evidence."
	review = "Find out which library the name belongs to and what it does when it is called with these arguments. If it belongs to your own code and was reviewed, add it to the policy file."
	look   = "Find out who wrote the file, and with what. The usual libraries do not write this."
)

func rules() []detect.Rule {
	unsafe, embed, corrupt := []string{"AML.T0011.000"}, []string{"AML.T0018.002"}, []string{"AML.T0076"}
	rule := func(id, title string, s finding.Severity, v finding.Verdict, atlas []string, about, do, misses string, cases ...int) detect.Rule {
		return detect.Rule{ID: id, Title: title, Severity: s, Verdict: v, Techniques: atlas, About: about, Do: do, Misses: misses, Cases: cases}
	}
	mal, sus, inc := finding.Malicious, finding.Suspicious, finding.Inconclusive
	return []detect.Rule{
		rule(ruleDangerous, "pickle uses a dangerous name", finding.Critical, mal, unsafe,
			"Loading imports a name that runs code, starts processes, reads or writes files, opens connections, loads native code or loads another pickle. Names are taken from the machine's real stack and memo, after escapes were decoded and Python 2 names were mapped.", stop,
			"What the list does not name is [WW-PICKLE-002](WW-PICKLE-002.md): the list only says how bad a name is that is not allowed.", 1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 13, 14, 16, 17, 19, 20, 21, 22, 26, 27, 28, 30, 34, 36, 37, 42, 82, 90),
		rule(ruleUnknown, "pickle uses an unknown name", finding.High, sus, unsafe,
			"Loading imports a name that is not on the list of names known to only hold data. The import alone runs the module's code. Torch's restricted unpickler refuses such a name; loaders that then fall back to the full one do not. What the model is called, and how popular it is, never excuses a name.", review,
			"Names that are allowed and can be abused in a way nobody has thought of.", 31, 32, 57, 90),
		rule(ruleWalk, "pickle walks attributes", finding.Critical, mal, unsafe,
			"The name is a path of attributes, or a dunder attribute: `random` with `_os.system`, `object` with `__getattribute__`. Picklers write such names for nested classes only, and no known model library has those.", stop,
			"Nothing known.", 11, 15),
		rule(ruleComputed, "pickle computes a name", finding.Critical, mal, unsafe,
			"STACK_GLOBAL takes its name from something that is no text constant, so that the name is only known when the file is loaded.", stop, "Nothing known.", 7, 8),
		rule(ruleCall, "pickle calls something that is no name", finding.High, mal, unsafe,
			"A call's target is the result of another call (malicious), or a constant, which fails on load and was written by no pickler (suspicious).", stop, "Nothing known.", 14, 22),
		rule(ruleMutate, "pickle changes what it did not make", finding.Critical, mal, unsafe,
			"BUILD, SETITEM, APPEND or ADDITEMS work on a module, a class or a registry: an allowed name is rebound and means something else from then on. Changing something that is neither a container nor an instance is suspicious: it can corrupt the memory of the restricted unpickler.", stop,
			"Changes by allowed classes to themselves.", 23, 24, 25, 26, 56),
		rule(ruleRole, "allowed name in a role it is not allowed in", finding.High, sus, unsafe,
			"A name that is known as data is called, or an allowed function gets arguments that make it do more than it is allowed for.", review, "Abuse within the role.", 8, 24),
		rule(ruleExtension, "pickle uses the extension registry", finding.High, sus, unsafe,
			"EXT opcodes name a callable by a number that only the loading process knows.", stop, "Nothing known.", 18),
		rule(ruleNested, "pickle hidden in a constant", finding.High, sus, embed,
			"A string of the pickle is itself a pickle that would be dangerous, as it is or behind base64, hex or compression. By itself it is data; something has to load it.", look, "Encodings other than these, more than four deep, and constants over four megabytes.", 29),
		rule(rulePersID, "persistent id is no storage", finding.High, sus, unsafe,
			"Persistent ids are resolved by the loader. Torch knows exactly one form; anything else reaches code that expects that form.", look, "Ids of other loaders.", 39),
		rule(ruleFrame, "frames that readers disagree about", finding.High, sus, corrupt,
			"An opcode crosses the end of its frame (malicious), a frame begins in another or is longer than the file: unpicklers in C and in Python read different bytes.", stop, "Nothing known.", 35),
		rule(ruleExpands, "pickle grows without end", finding.High, mal, []string{"AML.T0029"},
			"A few bytes stand for millions of values, or are nested so deep that readers run out of stack (suspicious), or name a memo slot that costs gigabytes (suspicious).", "Do not load the file: it takes the host's memory.", "Growth inside of allowed callables.", 38),
		rule(ruleOdd, "pickle that no pickler writes", finding.Medium, sus, corrupt,
			"PROTO in the middle, text that is not plainly a number, buffers that are not in the file: harmless to some readers, and used to lead others astray.", look, "Nothing known.", 10, 38),
		rule(ruleBroken, "pickle ends early", finding.Medium, inc, corrupt,
			"The stream is malformed or cut off. What came before has run by then: with a call or an import that is not plain data before the end this is suspicious.", look, "What was meant to follow.", 6, 33),
		rule(ruleLimit, "limit of the pickle reader", finding.Medium, inc, corrupt,
			"The pickle has more opcodes, values or memo slots than the limits.", "Scan it with a higher limit, or do not use it.", "Everything behind the limit.", 38),
		rule(ruleTail, "bytes behind the pickle", finding.Medium, sus, embed,
			"There are bytes behind STOP that are no further pickle and no array or storage that the format puts there.", look, "Nothing: further pickles are read as such.", 34, 47),
		rule(ruleArray, "array that does not add up", finding.Medium, sus, corrupt,
			"joblib puts array bytes between opcodes. Their form is not what joblib writes, so that it is not known where the opcodes go on.", look, "Nothing known.", 40),
		rule(ruleLegacy, "legacy torch file that does not add up", finding.Medium, sus, corrupt,
			"The first pickle is the magic number of a legacy torch file, and what follows is not in its order, or storages are missing, too short or too long. All pickles were read.", look, "The content of the numbers.", 36),
	}
}
