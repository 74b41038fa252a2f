-- The entries of all logs, as they were sealed. What keeps them from being
-- changed is not the database: it is the chain of their hashes and the signed
-- checkpoints, which also hold against those who can write to this file. The
-- column is text so that people can read it with the sqlite3 program.
CREATE TABLE entries (
	log   TEXT    NOT NULL,
	seq   INTEGER NOT NULL,
	entry TEXT    NOT NULL,
	PRIMARY KEY (log, seq)
) STRICT;

-- The signed note of every append. size repeats what the note says, so that
-- the newest is found quickly; the note is what counts.
CREATE TABLE checkpoints (
	log  TEXT    NOT NULL,
	size INTEGER NOT NULL,
	note TEXT    NOT NULL,
	PRIMARY KEY (log, size)
) STRICT;

-- A cache: the frontier of each log's tree without its last entry. Together
-- with the last entry it must give the root that the newest note signs, so a
-- false or missing row costs time and nothing else.
CREATE TABLE frontiers (
	log      TEXT PRIMARY KEY NOT NULL,
	size     INTEGER NOT NULL,
	frontier BLOB    NOT NULL
) STRICT;

-- Signed documents. Name, version, time and content are signed together; a
-- document that was deleted leaves a signed row without content.
CREATE TABLE documents (
	kind      TEXT    NOT NULL,
	name      TEXT    NOT NULL,
	version   INTEGER NOT NULL,
	at        INTEGER NOT NULL, -- microseconds
	deleted   INTEGER NOT NULL CHECK (deleted IN (0, 1)),
	doc       BLOB    NOT NULL,
	signature BLOB    NOT NULL,
	PRIMARY KEY (kind, name)
) STRICT;

-- What documents held before, with the signatures of then.
CREATE TABLE documents_history (
	kind      TEXT    NOT NULL,
	name      TEXT    NOT NULL,
	version   INTEGER NOT NULL,
	at        INTEGER NOT NULL,
	deleted   INTEGER NOT NULL CHECK (deleted IN (0, 1)),
	doc       BLOB    NOT NULL,
	signature BLOB    NOT NULL,
	PRIMARY KEY (kind, name, version)
) STRICT;

-- Messages to deliver. A delivered row keeps its key for ever, so that nothing
-- is sent twice, and loses its payload.
CREATE TABLE outbox (
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	key          TEXT    NOT NULL UNIQUE,
	target       TEXT    NOT NULL,
	payload      BLOB    NOT NULL,
	created_at   INTEGER NOT NULL, -- microseconds, as all times here
	next_at      INTEGER NOT NULL,
	attempts     INTEGER NOT NULL DEFAULT 0,
	last_error   TEXT    NOT NULL DEFAULT '',
	delivered_at INTEGER
) STRICT;

CREATE INDEX outbox_undelivered ON outbox (created_at, id) WHERE delivered_at IS NULL;
