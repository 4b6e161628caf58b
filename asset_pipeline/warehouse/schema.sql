-- The published tables. Their names and columns are a promise to everyone who queries them.
-- Money is US dollars in DECIMAL(18,6), times are UTC.

-- One row an attempt at one variant of one prompt, paid for or not.
CREATE TABLE predictions (
    intent_id        VARCHAR       NOT NULL,
    run_id           VARCHAR       NOT NULL,
    kind             VARCHAR       NOT NULL, -- image, audio; text for a call to a language model
    prompt_id        VARCHAR       NOT NULL,
    variant          INTEGER       NOT NULL,
    attempt          INTEGER       NOT NULL,
    model            VARCHAR       NOT NULL,
    version          VARCHAR,                -- NULL for official models, which have none
    generation_hash  VARCHAR       NOT NULL,
    prediction_id    VARCHAR,                -- NULL when the provider never accepted it
    state            VARCHAR       NOT NULL, -- reserved ... delivered, failed, refused
    error_class      VARCHAR,
    error            VARCHAR,
    reserved_usd     DECIMAL(18,6) NOT NULL,
    charged_usd      DECIMAL(18,6) NOT NULL,
    price_source     VARCHAR       NOT NULL,
    billed           VARCHAR,                -- billed, free, unknown; NULL while it runs
    predict_seconds  DOUBLE,
    created_at       TIMESTAMPTZ   NOT NULL,
    submitted_at     TIMESTAMPTZ,
    completed_at     TIMESTAMPTZ,
    delivered_at     TIMESTAMPTZ,
    collection       VARCHAR       NOT NULL, -- as it was when paid, should the prompt move later
    wanted_hash      VARCHAR,                -- what it stands in for; NULL when it was wanted itself
    strategy         VARCHAR,                -- how it came to stand in, such as simplified_prompt
    prompt_text      VARCHAR       NOT NULL, -- what was sent
    key_id           VARCHAR,                -- the API key that it was paid on behalf of
    provider         VARCHAR       NOT NULL, -- sandbox, replicate
    account          VARCHAR       NOT NULL, -- whom the provider charged
    seed             BIGINT,                 -- NULL where the model takes none
    inputs           VARCHAR       NOT NULL, -- all that was sent, as JSON
    tags             VARCHAR[]     NOT NULL, -- its prompt's now; empty once the prompt is gone
    fields           VARCHAR       NOT NULL  -- likewise, as JSON: fields->>'Scene'
);

-- One row a movement of money in one budget. A payment moves every budget that it falls under.
CREATE TABLE ledger_entries (
    entry_id    BIGINT        NOT NULL,
    intent_id   VARCHAR,                     -- NULL when a cap was set rather than a clip paid
    budget      VARCHAR       NOT NULL,
    type        VARCHAR       NOT NULL,      -- reserve, charge, release, adjust
    amount_usd  DECIMAL(18,6) NOT NULL,
    created_at  TIMESTAMPTZ   NOT NULL
);

-- One row a call to a language model. What it was charged stands in predictions too, as kind text.
CREATE TABLE llm_calls (
    call_id            VARCHAR       NOT NULL, -- the intent's
    run_id             VARCHAR       NOT NULL,
    operation          VARCHAR       NOT NULL, -- draft, expand, vary, translate, unify, shorten, rewrite
    subject            VARCHAR       NOT NULL, -- the brief's or the collection's name
    subject_sha256     VARCHAR       NOT NULL,
    collection         VARCHAR       NOT NULL,
    attempt            INTEGER       NOT NULL,
    model              VARCHAR       NOT NULL,
    answered_model     VARCHAR,
    call_hash          VARCHAR       NOT NULL, -- of model, messages and schema
    generation_id      VARCHAR,                -- the provider's; NULL for a lost reply
    state              VARCHAR       NOT NULL, -- reserved, submitting, delivered, failed, refused
    error_class        VARCHAR,                -- reply_lost, content_refused, truncated, ...
    error              VARCHAR,
    finish_reason      VARCHAR,
    prompt_tokens      BIGINT,
    completion_tokens  BIGINT,
    worst_case_usd     DECIMAL(18,6) NOT NULL,
    reserved_usd       DECIMAL(18,6) NOT NULL,
    charged_usd        DECIMAL(18,6) NOT NULL,
    evidence           VARCHAR       NOT NULL, -- none, answer, worst_case, key_usage
    charge_note        VARCHAR,
    price_source       VARCHAR       NOT NULL,
    provider           VARCHAR       NOT NULL,
    created_at         TIMESTAMPTZ   NOT NULL,
    submitted_at       TIMESTAMPTZ,
    completed_at       TIMESTAMPTZ
);

-- One row a verified, stored file in its place: this variant of this prompt.
CREATE TABLE clips (
    clip_id           VARCHAR       NOT NULL,
    kind              VARCHAR       NOT NULL,
    prompt_id         VARCHAR       NOT NULL,
    variant           INTEGER       NOT NULL,
    model             VARCHAR       NOT NULL,
    generation_hash   VARCHAR       NOT NULL,
    prediction_id     VARCHAR       NOT NULL,
    run_id            VARCHAR       NOT NULL,
    object_uri        VARCHAR       NOT NULL,
    sha256            VARCHAR       NOT NULL,
    bytes             BIGINT        NOT NULL,
    mime              VARCHAR       NOT NULL,
    width             INTEGER,               -- NULL for audio
    height            INTEGER,               -- NULL for audio
    duration_seconds  DOUBLE,                -- NULL for images
    cost_usd          DECIMAL(18,6) NOT NULL, -- 0 when it reuses a clip that was paid before
    created_at        TIMESTAMPTZ   NOT NULL,
    collection        VARCHAR       NOT NULL,
    superseded_at     TIMESTAMPTZ,           -- NULL for the current clip of its variant
    approved_at       TIMESTAMPTZ,           -- NULL unless a person wants it kept for good
    used_at           TIMESTAMPTZ,           -- last exported or linked to
    removed_at        TIMESTAMPTZ,           -- NULL as long as its file is stored; see custody
    wanted_hash       VARCHAR,               -- what it stands in for; NULL when it was wanted itself
    strategy          VARCHAR,               -- how it came to stand in, such as model_fallback
    review_state      VARCHAR,               -- approved, rejected; NULL while undecided
    prompt_text       VARCHAR       NOT NULL, -- what was sent for it
    seed              BIGINT,
    inputs            VARCHAR       NOT NULL, -- all that was sent, as JSON
    tags              VARCHAR[]     NOT NULL, -- its prompt's now; empty once the prompt is gone
    fields            VARCHAR       NOT NULL  -- likewise, as JSON: fields->>'Scene'
);

-- One row a file derived from a clip, under the name that its collection gives it.
CREATE TABLE renditions (
    rendition_id      VARCHAR       NOT NULL,
    clip_id           VARCHAR       NOT NULL,
    kind              VARCHAR       NOT NULL,
    prompt_id         VARCHAR       NOT NULL,
    collection        VARCHAR       NOT NULL,
    variant           INTEGER       NOT NULL,
    name              VARCHAR       NOT NULL, -- thumbnail, web, print, master, ...
    recipe            VARCHAR       NOT NULL, -- all of the setting that decides the file
    object_uri        VARCHAR       NOT NULL,
    sha256            VARCHAR       NOT NULL,
    bytes             BIGINT        NOT NULL,
    mime              VARCHAR       NOT NULL,
    width             INTEGER,               -- NULL for audio
    height            INTEGER,               -- NULL for audio
    duration_seconds  DOUBLE,                -- NULL for images
    loudness_lufs     DOUBLE,                -- of this file; NULL for images
    true_peak_dbtp    DOUBLE,                -- of this file; NULL for images
    gain_db           DOUBLE,                -- added to the clip's own; NULL for images
    note              VARCHAR       NOT NULL, -- why a target was not reached; mostly empty
    run_id            VARCHAR       NOT NULL,
    created_at        TIMESTAMPTZ   NOT NULL,
    superseded_at     TIMESTAMPTZ            -- NULL for the clip's current one of this name
);

-- One row a file that was marked, or whose marks were read: what it says of where it comes from.
CREATE TABLE provenance (
    uri                  VARCHAR     NOT NULL,
    sha256               VARCHAR     NOT NULL,
    role                 VARCHAR     NOT NULL, -- original, rendition, export, sidecar
    clip_id              VARCHAR     NOT NULL,
    clip_sha256          VARCHAR     NOT NULL, -- of the original, whatever the file's own is
    kind                 VARCHAR     NOT NULL,
    prompt_id            VARCHAR     NOT NULL,
    collection           VARCHAR     NOT NULL,
    variant              INTEGER     NOT NULL,
    policy               VARCHAR     NOT NULL, -- the collection's when it was marked
    marks                VARCHAR     NOT NULL, -- kinds, such as c2pa exif xmp; empty for none
    digital_source_type  VARCHAR     NOT NULL, -- IPTC's URI; empty where none is named
    signed_by            VARCHAR     NOT NULL, -- us, provider, nobody
    signer               VARCHAR     NOT NULL, -- whom our certificate names
    certificate_sha256   VARCHAR     NOT NULL,
    note                 VARCHAR     NOT NULL, -- what was not done, and why; mostly empty
    run_id               VARCHAR     NOT NULL,
    created_at           TIMESTAMPTZ NOT NULL
);

-- One row a parent of a stored file: what the file was made from.
CREATE TABLE lineage (
    child_uri      VARCHAR     NOT NULL,
    child_sha256   VARCHAR     NOT NULL,
    parent_type    VARCHAR     NOT NULL,     -- prompt, reference, clip, model; deletion
    parent_id      VARCHAR     NOT NULL,
    parent_sha256  VARCHAR,
    relation       VARCHAR     NOT NULL,
    run_id         VARCHAR     NOT NULL,
    created_at     TIMESTAMPTZ NOT NULL
);

-- One row a budget and period, as it stood when this file was published.
CREATE TABLE budgets (
    budget        VARCHAR       NOT NULL,
    period        VARCHAR       NOT NULL,    -- all, day, month, run
    period_start  DATE,                      -- NULL where the period has no date
    cap_usd       DECIMAL(18,6) NOT NULL,
    charged_usd   DECIMAL(18,6) NOT NULL,
    reserved_usd  DECIMAL(18,6) NOT NULL,
    headroom_usd  DECIMAL(18,6) NOT NULL     -- what may still be reserved; never negative
);

-- One row a model that ever failed: whether new predictions are asked of it, and why not.
CREATE TABLE circuit_breakers (
    model                VARCHAR     NOT NULL,
    state                VARCHAR     NOT NULL, -- closed, open, half_open
    create_failures      INTEGER     NOT NULL, -- in a row
    prediction_failures  INTEGER     NOT NULL, -- in a row
    openings             INTEGER     NOT NULL, -- in a row, without a success in between
    last_error_class     VARCHAR,
    last_error           VARCHAR,
    last_failure_at      TIMESTAMPTZ,
    opened_at            TIMESTAMPTZ,          -- NULL while it is closed
    retry_at             TIMESTAMPTZ,          -- when a probe may be sent; NULL unless it is open
    probe_owner          VARCHAR,              -- the worker whose prediction decides
    probe_expires_at     TIMESTAMPTZ,
    updated_at           TIMESTAMPTZ NOT NULL
);

-- One row a usable prompt in the prompt files, as they were when this file was published.
CREATE TABLE prompts (
    kind         VARCHAR   NOT NULL,
    prompt_id    VARCHAR   NOT NULL,
    collection   VARCHAR   NOT NULL,
    text         VARCHAR   NOT NULL,
    model        VARCHAR   NOT NULL,
    variants     INTEGER   NOT NULL,
    tags         VARCHAR[] NOT NULL,
    prompt_hash  VARCHAR   NOT NULL,
    style        VARCHAR   NOT NULL, -- its own or its collection's; empty for none
    reference    VARCHAR,            -- the picture it begins with
    inputs       VARCHAR   NOT NULL, -- what it says of the model's inputs, as JSON
    fields       VARCHAR   NOT NULL  -- a sheet's other columns, as JSON: fields->>'Scene'
);

-- One row a prompt whose last run left it without all of its clips, and why.
CREATE TABLE prompt_endings (
    kind         VARCHAR     NOT NULL,
    prompt_id    VARCHAR     NOT NULL,
    how          VARCHAR     NOT NULL, -- failed; refused by a budget, cancelled: never sent
    error_class  VARCHAR     NOT NULL,
    run_id       VARCHAR     NOT NULL,
    ended_at     TIMESTAMPTZ NOT NULL
);

-- One row a thing done about a stored file: approved, lost, restored, decided to delete, deleted.
CREATE TABLE custody (
    entry_id    BIGINT      NOT NULL,
    action      VARCHAR     NOT NULL,        -- approve, unapprove, lose, restore, delete, deleted
    clip_id     VARCHAR     NOT NULL,        -- the newest of the clips that share the file
    object_uri  VARCHAR     NOT NULL,
    sha256      VARCHAR     NOT NULL,
    bytes       BIGINT      NOT NULL,
    actor       VARCHAR     NOT NULL,        -- user@host, or a Dagster run
    reason      VARCHAR     NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL
);

-- One row a file that was exported, as it was when last written there.
CREATE TABLE exports (
    target       VARCHAR     NOT NULL,
    path         VARCHAR     NOT NULL,
    clip_id      VARCHAR     NOT NULL,
    sha256       VARCHAR     NOT NULL,
    bytes        BIGINT      NOT NULL,
    exported_at  TIMESTAMPTZ NOT NULL
);

-- One row a check of the store; an unfinished one is continued by the next.
CREATE TABLE fsck_passes (
    pass_id      VARCHAR     NOT NULL,
    store        VARCHAR     NOT NULL,
    phase        VARCHAR     NOT NULL,       -- clips, extras, done
    objects      BIGINT      NOT NULL,       -- read and hashed
    bytes        BIGINT      NOT NULL,
    started_at   TIMESTAMPTZ NOT NULL,
    finished_at  TIMESTAMPTZ
);

-- One row an object on which a check found ledger and store to disagree.
CREATE TABLE fsck_report (
    pass_id     VARCHAR     NOT NULL,
    object_uri  VARCHAR     NOT NULL,
    clip_id     VARCHAR,                     -- NULL for a file that the ledger knows nothing of
    kind        VARCHAR,
    prompt_id   VARCHAR,
    variant     INTEGER,
    problem     VARCHAR     NOT NULL,        -- missing, size, sha256, unreadable, elsewhere, extra
    expected    VARCHAR,
    found       VARCHAR,
    outcome     VARCHAR     NOT NULL,        -- reported, repaired, lost, restored
    found_at    TIMESTAMPTZ NOT NULL
);

-- One row a verdict about a stored file. They are only ever added; the last one of a clip holds.
CREATE TABLE reviews (
    review_id    BIGINT      NOT NULL,
    clip_id      VARCHAR     NOT NULL,
    sha256       VARCHAR     NOT NULL,       -- of the file that was looked at
    verdict      VARCHAR     NOT NULL,       -- approved, rejected, undecided
    reason_code  VARCHAR     NOT NULL,
    note         VARCHAR     NOT NULL,
    actor        VARCHAR     NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    supersedes   BIGINT                      -- the verdict that it takes the place of
);

-- One row an order over HTTP.
CREATE TABLE submissions (
    submission_id   VARCHAR       NOT NULL,
    owner           VARCHAR       NOT NULL,  -- local, key:..., user:...
    key_id          VARCHAR,
    request_id      VARCHAR       NOT NULL,
    state           VARCHAR       NOT NULL,
    prompts         INTEGER       NOT NULL,
    clips           INTEGER       NOT NULL,
    cached          INTEGER       NOT NULL,  -- stored already when it was ordered
    worst_case_usd  DECIMAL(18,6) NOT NULL,
    completed       INTEGER       NOT NULL,  -- prompts
    failed          INTEGER       NOT NULL,
    cancelled       INTEGER       NOT NULL,
    refused         INTEGER       NOT NULL,  -- by a budget
    created_at      TIMESTAMPTZ   NOT NULL,
    finished_at     TIMESTAMPTZ
);

-- One row a prompt of such an order.
CREATE TABLE submission_items (
    submission_id  VARCHAR     NOT NULL,
    position       INTEGER     NOT NULL,
    kind           VARCHAR     NOT NULL,
    prompt_id      VARCHAR     NOT NULL,
    variants       INTEGER     NOT NULL,
    state          VARCHAR     NOT NULL,
    error_class    VARCHAR,
    error          VARCHAR,
    launch_id      VARCHAR,
    updated_at     TIMESTAMPTZ NOT NULL
);

-- One row a request over HTTP that changed something, or tried to.
CREATE TABLE service_audit (
    entry_id    BIGINT      NOT NULL,
    request_id  VARCHAR     NOT NULL,
    actor       VARCHAR     NOT NULL,
    key_id      VARCHAR,
    action      VARCHAR     NOT NULL,
    status      INTEGER     NOT NULL,
    code        VARCHAR     NOT NULL,        -- of the problem; empty when it went well
    client      VARCHAR     NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL
);
