-- The database of the advice benchmark: an application for work that many tenants share. 2.1 million rows.
--
-- Everything is derived from row numbers and fixed dates, so each run has the same rows. Sizes are skewed as in life: tenant 1 has a sixth of
-- everything, tenant 200 next to nothing. Rows are deleted softly. It has the indexes that a framework makes by itself (keys) and a
-- few that people made, some of them for nothing. What is missing is what the cases ask for.

SET client_min_messages = warning;
SET timezone = 'UTC';
SET synchronous_commit = off;

CREATE SCHEMA made;

-- A number in [0, 1) for row `i`; each `salt` gives an independent series.
CREATE FUNCTION made.unit(i bigint, salt bigint) RETURNS double precision LANGUAGE sql IMMUTABLE AS
$$ SELECT ((hashint8extended(i, salt) >> 11) & 9007199254740991) / 9007199254740992.0::double precision $$;

-- One of 1..n, all alike.
CREATE FUNCTION made.even(i bigint, salt bigint, n int) RETURNS int LANGUAGE sql IMMUTABLE AS
$$ SELECT 1 + floor((((hashint8extended(i, salt) >> 11) & 9007199254740991) / 9007199254740992.0::double precision) * n)::int $$;

-- One of 1..n, the low ones far more often.
CREATE FUNCTION made.skewed(i bigint, salt bigint, n int) RETURNS int LANGUAGE sql IMMUTABLE AS
$$ SELECT 1 + floor(power(((hashint8extended(i, salt) >> 11) & 9007199254740991) / 9007199254740992.0::double precision, 3) * n)::int $$;

-- A word that is none: of 4,900, each its own.
CREATE FUNCTION made.word(n int) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT substr('badafagakalamanaparasatavazabodofogokolomonoporosotovozobudufugukulumunupurusutuvuzubidifigikilimiipirisiti', 1 + 2 * (n % 52), 2)
       || substr('landentoralikemunosaperivadoguzetimarobeluhafisowekanudy', 1 + 2 * (n / 52 % 28), 2)
       || substr('xaqemiporuteladinoguvesabizolukofarehy', 1 + 2 * (n * 7 % 19), 2) $$;

-- `k` words, the low ones far more often.
CREATE FUNCTION made.words(i bigint, salt bigint, k int) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT string_agg(made.word(made.skewed(i * 128 + j, salt, 4900)), ' ') FROM generate_series(1, k) AS j $$;

CREATE EXTENSION pg_trgm;
CREATE EXTENSION pg_stat_statements;
CREATE EXTENSION IF NOT EXISTS hypopg;

CREATE TABLE plans (id int PRIMARY KEY, name text NOT NULL, seats int NOT NULL, price numeric(8, 2) NOT NULL);
INSERT INTO plans SELECT i, (ARRAY['free', 'solo', 'team', 'business', 'enterprise'])[i], i * i * 5, i * 9 FROM generate_series(1, 5) AS i;

CREATE TABLE feature_flags (id int PRIMARY KEY, name text NOT NULL, enabled boolean NOT NULL, rollout int NOT NULL);
INSERT INTO feature_flags SELECT i, 'flag_' || made.word(i), i % 3 = 0, i * 3 % 100 FROM generate_series(1, 40) AS i;

CREATE TABLE tenants (
    id int PRIMARY KEY,
    name text NOT NULL,
    plan_id int NOT NULL REFERENCES plans,
    region text NOT NULL,
    created_at timestamptz NOT NULL
);
INSERT INTO tenants
SELECT i, initcap(made.words(i, 1, 2)), made.even(i, 2, 5), (ARRAY['eu', 'us', 'apac'])[made.skewed(i, 3, 3)],
       timestamptz '2022-01-01' + i * interval '5 days'
FROM generate_series(1, 200) AS i;

CREATE TABLE users (
    id bigint PRIMARY KEY,
    tenant_id int NOT NULL REFERENCES tenants,
    email varchar(200) NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    status text NOT NULL,
    external_id text,
    settings jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    last_seen_at timestamptz,
    deleted_at timestamptz,
    UNIQUE (tenant_id, email)
);
INSERT INTO users
SELECT i, made.skewed(i, 10, 200), initcap(made.word(made.even(i, 11, 4900))) || '.' || i || '@Example.com',
       initcap(made.word(made.even(i, 12, 4900))) || ' ' || initcap(made.word(made.even(i, 13, 4900))),
       (ARRAY['member', 'editor', 'admin', 'owner'])[made.skewed(i, 14, 4)],
       CASE WHEN made.unit(i, 15) < 0.97 THEN 'active' WHEN made.unit(i, 15) < 0.99 THEN 'invited' ELSE 'blocked' END,
       CASE WHEN i % 3 = 0 THEN 'ext-' || md5(i::text) END,
       jsonb_build_object('theme', (ARRAY['light', 'dark'])[made.even(i, 16, 2)], 'lang', (ARRAY['en', 'de', 'fr', 'ja'])[made.skewed(i, 17, 4)]),
       timestamptz '2024-01-01' + made.unit(i, 18) * interval '360 days',
       CASE WHEN i % 5 > 0 THEN timestamptz '2024-06-01' + made.unit(i, 19) * interval '210 days' END,
       CASE WHEN made.unit(i, 20) < 0.03 THEN timestamptz '2024-12-01' + made.unit(i, 21) * interval '30 days' END
FROM generate_series(1, 40000) AS i;

CREATE TABLE projects (
    id bigint PRIMARY KEY,
    tenant_id int NOT NULL REFERENCES tenants,
    owner_id bigint NOT NULL REFERENCES users,
    name text NOT NULL,
    slug text NOT NULL,
    archived boolean NOT NULL,
    created_at timestamptz NOT NULL,
    deadline date
);
INSERT INTO projects
SELECT i, made.skewed(i, 30, 200), made.even(i, 31, 40000), initcap(made.words(i, 32, 2)), made.word(made.even(i, 33, 4900)) || '-' || i,
       made.unit(i, 34) < 0.1, timestamptz '2024-01-01' + i * interval '1 hour',
       CASE WHEN i % 4 > 0 THEN date '2024-06-01' + made.even(i, 35, 400) END
FROM generate_series(1, 8000) AS i;
CREATE INDEX projects_tenant_id_idx ON projects (tenant_id);
CREATE INDEX projects_tenant_idx ON projects (tenant_id); -- the same once more
CREATE INDEX projects_tenant_id_archived_idx ON projects (tenant_id, archived);

CREATE TABLE tasks (
    id bigint PRIMARY KEY,
    tenant_id int NOT NULL REFERENCES tenants,
    project_id bigint NOT NULL REFERENCES projects,
    creator_id bigint NOT NULL REFERENCES users,
    assignee_id bigint REFERENCES users,
    parent_id bigint,
    code varchar(20) NOT NULL,
    title text NOT NULL,
    status text NOT NULL,
    priority int NOT NULL,
    estimate numeric(8, 2),
    labels text[] NOT NULL,
    due_on date,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    closed_at timestamptz,
    deleted_at timestamptz
);
INSERT INTO tasks
SELECT i, made.skewed(project, 30, 200), project, made.skewed(i, 41, 40000),
       CASE WHEN made.unit(i, 42) < 0.8 THEN made.skewed(i, 43, 40000) END,
       CASE WHEN made.unit(i, 44) < 0.3 THEN made.even(i, 45, 300000) END,
       'T' || project || '-' || i, initcap(made.words(i, 46, 4)), status, made.even(i, 47, 5),
       round((made.unit(i, 48) * 40)::numeric, 2),
       ARRAY['l' || made.skewed(i, 49, 400), 'l' || made.skewed(i, 50, 400)],
       CASE WHEN made.unit(i, 51) < 0.5 THEN date '2024-01-10' + made.even(i, 52, 400) END,
       created, created + made.unit(i, 53) * (timestamptz '2025-01-01' - created),
       CASE WHEN status = 'done' THEN created + made.unit(i, 53) * (timestamptz '2025-01-01' - created) END,
       CASE WHEN made.unit(i, 54) < 0.04 THEN timestamptz '2024-12-01' + made.unit(i, 55) * interval '30 days' END
FROM generate_series(1, 300000) AS i,
     LATERAL (SELECT made.skewed(i, 40, 8000) AS project, timestamptz '2024-01-01' + made.unit(i, 56) * interval '365 days' AS created,
                     CASE WHEN made.unit(i, 57) < 0.80 THEN 'done' WHEN made.unit(i, 57) < 0.92 THEN 'open'
                          WHEN made.unit(i, 57) < 0.995 THEN 'doing' ELSE 'blocked' END AS status) AS made_of;
CREATE UNIQUE INDEX tasks_code_idx ON tasks (code);

CREATE TABLE comments (
    id bigint PRIMARY KEY,
    tenant_id int NOT NULL REFERENCES tenants,
    task_id bigint NOT NULL REFERENCES tasks ON DELETE CASCADE,
    author_id bigint NOT NULL REFERENCES users,
    body text NOT NULL,
    created_at timestamptz NOT NULL,
    edited_at timestamptz,
    deleted_at timestamptz
);
INSERT INTO comments
SELECT i, made.skewed(made.skewed(task, 40, 8000), 30, 200), task, made.skewed(i, 61, 40000), made.words(i, 62, 5),
       timestamptz '2024-01-01' + made.unit(i, 63) * interval '365 days', NULL,
       CASE WHEN made.unit(i, 64) < 0.05 THEN timestamptz '2024-12-15' END
FROM generate_series(1, 400000) AS i, LATERAL (SELECT made.skewed(i, 60, 300000) AS task) AS made_of;

CREATE TABLE invoices (
    id bigint PRIMARY KEY,
    tenant_id int NOT NULL REFERENCES tenants,
    number text NOT NULL,
    reference uuid NOT NULL UNIQUE,
    buyer text NOT NULL,
    state text NOT NULL,
    currency char(3) NOT NULL,
    total numeric(12, 2) NOT NULL,
    issued_on date NOT NULL,
    due_on date NOT NULL,
    paid_at timestamptz,
    created_at timestamptz NOT NULL,
    notes text NOT NULL
);
INSERT INTO invoices
SELECT i, made.skewed(i, 70, 200), 'INV-' || extract(year FROM issued) || '-' || lpad(i::text, 6, '0'), md5('invoice' || i)::uuid,
       initcap(made.words(i, 71, 2)), state, (ARRAY['EUR', 'USD', 'GBP', 'JPY'])[made.skewed(i, 72, 4)],
       round((made.unit(i, 73) * 5000)::numeric, 2), issued, issued + 30,
       CASE WHEN state = 'paid' THEN issued + made.unit(i, 74) * interval '30 days' END,
       issued + made.unit(i, 75) * interval '1 day', made.words(i, 79, 8)
FROM generate_series(1, 60000) AS i,
     LATERAL (SELECT date '2024-01-01' + made.even(i, 76, 365) - 1 AS issued,
                     CASE WHEN made.unit(i, 77) < 0.93 THEN 'paid' WHEN made.unit(i, 77) < 0.97 THEN 'open'
                          WHEN made.unit(i, 77) < 0.985 THEN 'overdue' ELSE 'void' END AS state) AS made_of;
CREATE INDEX invoices_created_at_idx ON invoices (created_at);

CREATE TABLE invoice_lines (
    id bigint PRIMARY KEY,
    invoice_id bigint NOT NULL REFERENCES invoices,
    description text NOT NULL,
    quantity int NOT NULL,
    amount numeric(12, 2) NOT NULL
);
INSERT INTO invoice_lines
SELECT i, made.even(i, 80, 60000), made.words(i, 81, 4), made.skewed(i, 82, 20), round((made.unit(i, 83) * 900)::numeric, 2)
FROM generate_series(1, 150000) AS i;

CREATE TABLE documents (
    id bigint PRIMARY KEY,
    tenant_id int NOT NULL REFERENCES tenants,
    project_id bigint NOT NULL REFERENCES projects,
    invoice_id bigint REFERENCES invoices,
    public_id uuid NOT NULL UNIQUE,
    title text NOT NULL,
    content text NOT NULL,
    meta jsonb NOT NULL,
    tags text[] NOT NULL,
    published boolean NOT NULL,
    updated_at timestamptz NOT NULL
);
INSERT INTO documents
SELECT i, made.skewed(project, 30, 200), project, CASE WHEN i % 4 = 0 THEN made.even(i, 91, 60000) END, md5('document' || i)::uuid,
       initcap(made.words(i, 92, 3)), made.words(i, 93, 30),
       jsonb_build_object('kind', (ARRAY['note', 'spec', 'contract', 'report'])[made.skewed(i, 94, 4)], 'year', 2015 + made.even(i, 95, 10),
                          'source', 'src-' || md5(i::text), 'size', made.even(i, 96, 100000))
           || CASE WHEN i % 500 = 0 THEN '{"legal_hold": true}' ELSE '{}' END::jsonb,
       ARRAY['t' || made.skewed(i, 97, 1500), 't' || made.skewed(i, 98, 1500), 't' || made.even(i, 99, 1500)],
       made.unit(i, 100) < 0.98, timestamptz '2024-01-01' + made.unit(i, 101) * interval '365 days'
FROM generate_series(1, 40000) AS i, LATERAL (SELECT made.skewed(i, 90, 8000) AS project) AS made_of;
CREATE INDEX documents_tenant_id_idx ON documents (tenant_id);
CREATE INDEX documents_invoice_id_idx ON documents (invoice_id);

CREATE TABLE events (
    id bigint NOT NULL,
    tenant_id int NOT NULL,
    user_id bigint NOT NULL,
    kind text NOT NULL,
    happened_at timestamptz NOT NULL,
    data jsonb NOT NULL,
    PRIMARY KEY (happened_at, id)
) PARTITION BY RANGE (happened_at);
SELECT format('CREATE TABLE events_2024_%s PARTITION OF events FOR VALUES FROM (%L) TO (%L)', to_char(month, 'MM'), month, month + interval '1 month')
FROM generate_series(timestamptz '2024-01-01', timestamptz '2024-12-01', interval '1 month') AS month
\gexec
INSERT INTO events
SELECT i, made.skewed(i, 110, 200), made.skewed(i, 111, 40000),
       (ARRAY['view', 'edit', 'open', 'share', 'login', 'export', 'refund', 'purge'])[made.skewed(made.skewed(i, 112, 1000), 112, 8)],
       timestamptz '2024-01-01' + i * interval '365 days' / 360001,
       jsonb_build_object('page', 'p' || made.skewed(i, 113, 3000), 'ms', made.skewed(i, 114, 2000))
FROM generate_series(1, 360000) AS i;

CREATE TABLE audit_log (
    id bigint PRIMARY KEY,
    tenant_id int NOT NULL,
    actor_id bigint NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    at timestamptz NOT NULL,
    address inet NOT NULL
);
INSERT INTO audit_log
SELECT i, made.skewed(i, 120, 200), made.skewed(i, 121, 40000),
       (ARRAY['update', 'create', 'login', 'delete', 'export', 'grant', 'revoke', 'impersonate'])[made.skewed(i, 122, 8)],
       'task/' || made.even(i, 123, 300000), timestamptz '2024-01-01' + i * interval '365 days' / 300001,
       ('10.' || made.even(i, 124, 200) || '.' || made.even(i, 125, 250) || '.' || made.even(i, 126, 250))::inet
FROM generate_series(1, 300000) AS i;

CREATE TABLE sessions (
    token uuid PRIMARY KEY,
    user_id bigint NOT NULL,
    agent text NOT NULL,
    last_used_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 80);
INSERT INTO sessions
SELECT md5('session' || i)::uuid, made.skewed(i, 130, 40000), made.word(made.skewed(i, 131, 40)),
       timestamptz '2024-12-31' - made.unit(i, 132) * interval '20 days', timestamptz '2025-01-01' + made.unit(i, 133) * interval '30 days'
FROM generate_series(1, 80000) AS i;

CREATE TABLE outbox (
    id bigint PRIMARY KEY,
    tenant_id int NOT NULL,
    topic text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    sent_at timestamptz
);
INSERT INTO outbox
SELECT i, made.skewed(i, 140, 200), 'topic.' || made.skewed(i, 141, 12), jsonb_build_object('id', i, 'text', made.words(i, 142, 4)),
       timestamptz '2024-10-01' + i * interval '1 minute',
       CASE WHEN i % 900 > 0 THEN timestamptz '2024-10-01' + i * interval '1 minute' + interval '2 seconds' END
FROM generate_series(1, 120000) AS i;

CREATE TABLE metrics (
    tenant_id int NOT NULL,
    name text NOT NULL,
    day date NOT NULL,
    value bigint NOT NULL,
    PRIMARY KEY (tenant_id, name, day)
) WITH (fillfactor = 70);
INSERT INTO metrics
SELECT tenant, 'm' || name, date '2024-09-01' + day, made.skewed(tenant * 1000 + name * 100 + day, 150, 100000)
FROM generate_series(1, 200) AS tenant, generate_series(1, 5) AS name, generate_series(0, 59) AS day;

-- A framework that keeps the case of its names.
CREATE TABLE "Order Items" ("Id" bigint PRIMARY KEY, "customerId" bigint NOT NULL, "order" int NOT NULL, "createdAt" timestamptz NOT NULL, "text" text NOT NULL);
INSERT INTO "Order Items"
SELECT i, made.skewed(i, 160, 9000), made.even(i, 161, 10), timestamptz '2024-01-01' + made.unit(i, 162) * interval '300 days', made.words(i, 163, 4)
FROM generate_series(1, 50000) AS i;

-- Few rows when ANALYZE ran; grown.sql makes them many.
CREATE TABLE imports (id bigint PRIMARY KEY, batch int NOT NULL, state text NOT NULL, line text NOT NULL);
CREATE INDEX imports_batch_idx ON imports (batch);
CREATE INDEX imports_state_idx ON imports (state);
INSERT INTO imports SELECT i, 1, 'done', 'x' FROM generate_series(1, 2000) AS i;

-- grown.sql deletes nine rows of ten.
CREATE TABLE drafts (id bigint PRIMARY KEY, author_id bigint NOT NULL, body text NOT NULL);
INSERT INTO drafts SELECT i, made.even(i, 180, 40000), made.words(i, 181, 8) FROM generate_series(1, 40000) AS i;

-- Indexes that are there and serve.
CREATE INDEX tenants_lower_idx ON tenants (lower(name));
CREATE INDEX audit_log_target_idx ON audit_log (target);
CREATE INDEX outbox_topic_unsent_idx ON outbox (topic, id) WHERE sent_at IS NULL;
CREATE INDEX sessions_agent_idx ON sessions (agent); -- nobody asks for it
CREATE INDEX invoice_lines_amount_idx ON invoice_lines (amount);

DROP SCHEMA made CASCADE;

VACUUM (ANALYZE);
