-- Alerts go to several targets, in order within a group, and not for ever.
-- priority 0 and 4 are never given up for want of room; dead_at is when it was
-- given up, for the reason in last_error. A row that was dropped for want of
-- room is dead and has lost its payload.
ALTER TABLE outbox ADD COLUMN grp TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN dead_at INTEGER;

DROP INDEX outbox_undelivered;
CREATE INDEX outbox_undelivered ON outbox (target, created_at, id) WHERE delivered_at IS NULL AND dead_at IS NULL;
CREATE INDEX outbox_groups ON outbox (target, grp, id) WHERE delivered_at IS NULL AND dead_at IS NULL;
CREATE INDEX outbox_dead ON outbox (dead_at, id) WHERE dead_at IS NOT NULL;
