// Package python knows the names of Python's standard library and reads the
// tokens of its source. It runs nothing and follows no import.
package python

import "strings"

// Standard reports whether the first part of a dotted name is a module of the
// standard library, of any version from 2.7 to 3.14, or a private one of the
// interpreter ("_io").
func Standard(dotted string) bool {
	root, _, _ := strings.Cut(dotted, ".")
	if bare, ok := strings.CutPrefix(root, "_"); ok {
		return standard[bare] || private[root]
	}
	return standard[root]
}

// Builtin reports whether a name is a function or type that is there without
// an import.
func Builtin(name string) bool { return builtins[name] }

// IsName reports whether s is a dotted name: identifiers of ASCII letters,
// with points between them.
func IsName(s string) bool {
	if s == "" {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		for i := range len(part) {
			c := part[i]
			if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
				return false
			}
		}
		if part == "" {
			return false
		}
	}
	return true
}

// Dunder reports whether a part of the dotted name begins with two underscores.
func Dunder(dotted string) bool {
	return strings.HasPrefix(dotted, "__") || strings.Contains(dotted, ".__")
}

func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// private are modules of the interpreter whose name without the underscore is
// none.
var private = set("_posixsubprocess _osx_support _aix_support _pyrepl _frozen_importlib _frozen_importlib_external _imp _thread " +
	"_testcapi _xxsubinterpreters _interpreters _ctypes_test _winapi _winreg _wmi _msi _overlapped _aix _sitebuiltins _pydecimal")

var standard = set(`
ConfigParser Queue SocketServer StringIO abc aifc antigravity argparse array ast asynchat asyncio asyncore
atexit audioop base64 bdb binascii binhex bisect builtins bz2 cPickle cProfile cStringIO calendar cgi cgitb
chunk cmath cmd code codecs codeop collections colorsys commands compileall concurrent configparser contextlib
contextvars copy copyreg crypt csv ctypes curses dataclasses datetime dbm decimal difflib dis distutils
doctest email encodings ensurepip enum errno faulthandler fcntl filecmp fileinput fnmatch formatter fractions
ftplib functools gc genericpath getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html http
httplib idlelib imaplib imghdr imp importlib inspect io ipaddress itertools json keyword lib2to3 linecache
locale logging lzma macpath mailbox mailcap marshal math mimetypes mmap modulefinder msilib msvcrt
multiprocessing netrc nis nntplib nt ntpath nturl2path numbers opcode operator optparse os os2emxpath
ossaudiodev parser pathlib pdb pickle pickletools pipes pkgutil platform plistlib popen2 poplib posix
posixpath pprint profile pstats pty pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re
readline reprlib resource rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site
smtpd smtplib sndhdr socket socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl stat statistics
string stringprep struct subprocess sunau symbol symtable sys sysconfig syslog tabnanny tarfile telnetlib
tempfile termios textwrap this threading time timeit tkinter token tokenize tomllib trace traceback
tracemalloc tty turtle turtledemo types typing unicodedata unittest urllib urllib2 uu uuid venv warnings wave
weakref webbrowser winreg winsound wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib zoneinfo
`)

var builtins = set(`
abs aiter all anext any ascii bin bool breakpoint bytearray bytes callable chr classmethod compile complex
copyright credits delattr dict dir divmod enumerate eval exec exit filter float format frozenset getattr
globals hasattr hash help hex id input int isinstance issubclass iter len license list locals map max
memoryview min next object oct open ord pow print property quit range repr reversed round set setattr slice
sorted staticmethod str sum super tuple type vars zip
file execfile reload raw_input unicode unichr xrange long basestring apply cmp reduce intern buffer coerce
`)
