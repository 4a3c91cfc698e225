-- Return-Path and Delivered-To of a copy, which precede its content; NULL if the content begins with Return-Path.
ALTER TABLE message ADD COLUMN delivery_fields bytea;

-- Limits of mailboxes in octets. The account '' has those of all accounts without a row.
CREATE TABLE quota (
    account text COLLATE "C" PRIMARY KEY,
    soft bigint NOT NULL,
    hard bigint NOT NULL,
    CHECK (0 <= soft AND soft <= hard)
);

-- Mail to other hosts. The account of these rows is '', which no user has: a database that distributes rows keeps the queue on one
-- server, where nodes can take entries with FOR UPDATE SKIP LOCKED.

CREATE TABLE queue_entry (
    account text COLLATE "C" NOT NULL DEFAULT '',
    id text COLLATE "C" NOT NULL,
    -- The node that delivers the entry, '' if none does. Its lease is in table queue_node.
    holder text COLLATE "C" NOT NULL DEFAULT '',
    -- A request of the administrator to the holder: retry or release.
    request text,
    -- The envelope lines of a file in queue/.
    envelope text NOT NULL,
    -- The results of attempts, as in a .log file in queue/, and the change that added the last of them.
    log text NOT NULL DEFAULT '',
    log_change text NOT NULL DEFAULT '',
    -- Length of the message.
    octets bigint NOT NULL,
    -- The beginning of the message, up to the end of its header.
    head bytea NOT NULL,
    -- The rest; NULL if it is in table body, after the first body_start octets.
    content bytea,
    body_account text COLLATE "C",
    body_id text COLLATE "C",
    body_start bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (account, id)
);
CREATE INDEX queue_entry_holder ON queue_entry (account, holder, id);
CREATE INDEX queue_entry_request ON queue_entry (account, holder) WHERE request IS NOT NULL;

-- Table body: copies also counts the rows of table queue_entry that refer to it; without rows of table message, account is ''.

-- The nodes that deliver the queue. An expired lease is never renewed: the node gets a new name.
CREATE TABLE queue_node (
    account text COLLATE "C" NOT NULL DEFAULT '',
    node text COLLATE "C" NOT NULL,
    expires timestamptz NOT NULL,
    -- The administrator wants all entries to be attempted now.
    retries_all boolean NOT NULL DEFAULT false,
    PRIMARY KEY (account, node)
);

-- Failed sign-ins that nodes exchange. The account of these rows is ''. A key is a hash of an address, a name, or both.
CREATE TABLE sign_in_count (
    account text COLLATE "C" NOT NULL DEFAULT '',
    -- 0: address, 1: name, 2: name at an address where it has signed in.
    kind smallint NOT NULL,
    key bigint NOT NULL,
    -- The time at which the failures have drained.
    empty_at timestamptz NOT NULL,
    changed timestamptz NOT NULL,
    PRIMARY KEY (account, kind, key)
);
CREATE INDEX sign_in_count_changed ON sign_in_count (account, changed);

INSERT INTO setting (name, value) VALUES ('throttle_key', gen_random_uuid()::text || gen_random_uuid()::text);
