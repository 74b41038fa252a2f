-- Who may act on what, and until when. A row stays after its lease was
-- released or has expired: the number must never begin anew, because what a
-- process that slept through its lease still writes is known by its old number.
CREATE TABLE leases (
	name    TEXT PRIMARY KEY NOT NULL,
	holder  TEXT    NOT NULL, -- empty when it was released
	fence   INTEGER NOT NULL,
	expires INTEGER NOT NULL  -- microseconds
) STRICT;
