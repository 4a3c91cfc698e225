-- Columns named account contain account names in lower case. Every primary key of mail starts with the account, so that a
-- distributed database can keep an account's rows together.

CREATE TABLE account (
    account text COLLATE "C" PRIMARY KEY,
    -- As the administrator spelled it.
    name text NOT NULL,
    -- The second field of a line of User.txt.
    password text NOT NULL,
    -- Accounts are listed in this order.
    position bigint NOT NULL
);
CREATE INDEX account_position ON account (position, account);

CREATE TABLE alias (
    alias text COLLATE "C" PRIMARY KEY,
    targets text[] NOT NULL,
    position bigint NOT NULL
);

-- One row is locked by every change of aliases, since a loop may involve several of them.
CREATE TABLE setting (
    name text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);
INSERT INTO setting (name, value) VALUES
    ('aliases', ''),
    ('decoy_key', gen_random_uuid()::text || gen_random_uuid()::text);

CREATE TABLE maildrop (
    account text COLLATE "C" PRIMARY KEY,
    messages bigint NOT NULL DEFAULT 0,
    octets bigint NOT NULL DEFAULT 0,
    -- Position of the next message. Positions are never used again.
    next_position bigint NOT NULL DEFAULT 1
);

-- A row for each open maildrop, and for each whose session has ended without releasing it.
CREATE TABLE lease (
    account text COLLATE "C" PRIMARY KEY,
    holder text NOT NULL,
    expires timestamptz NOT NULL
);

CREATE TABLE message (
    account text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    unique_id text COLLATE "C" NOT NULL,
    -- As POP3 counts them.
    octets bigint NOT NULL,
    received timestamptz NOT NULL,
    -- From, To and Subject of the record in MyMailBox.txt, if some of them are not in the message.
    front bytea,
    -- Length of the trace fields at the start of the message, and of From, To and Subject after them.
    trace_length integer NOT NULL,
    front_length integer NOT NULL,
    -- The message as POP3 sends it, without dot-stuffing; NULL if it is in table body.
    content bytea,
    body_account text COLLATE "C",
    body_id text COLLATE "C",
    -- The record in MyMailBox.txt, if a person wrote it.
    record bytea,
    PRIMARY KEY (account, position)
);
CREATE UNIQUE INDEX message_unique_id ON message (account, unique_id);

-- A message of several recipients, or a large one. Its account is one of the recipients.
CREATE TABLE body (
    account text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    -- Number of rows of table message that refer to it.
    copies integer NOT NULL,
    -- NULL if it is in table body_piece.
    content bytea,
    PRIMARY KEY (account, id)
);

CREATE TABLE body_piece (
    account text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    piece integer NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (account, id, piece)
);

-- The last group of deliveries of each writer. A writer whose COMMIT was not answered finds its outcome here.
CREATE TABLE writer (
    writer text COLLATE "C" PRIMARY KEY,
    last_group bigint NOT NULL,
    seen timestamptz NOT NULL
);
