-- tasks inserted
INSERT INTO tasks SELECT id + 1000000, tenant_id, project_id, creator_id, assignee_id, parent_id, 'N' || id, title, status, priority, estimate, labels, due_on,
       timestamptz '2025-01-01' + id * interval '1 second', timestamptz '2025-01-01' + id * interval '1 second', NULL, NULL
FROM tasks WHERE id <= 20000
-- comments inserted
INSERT INTO comments SELECT id + 1000000, tenant_id, task_id, author_id, body, timestamptz '2025-01-01' + id * interval '1 second', NULL, NULL
FROM comments WHERE id <= 20000
-- invoices inserted
INSERT INTO invoices SELECT id + 1000000, tenant_id, 'NEW-' || id, md5('new' || id)::uuid, buyer, 'open', currency, total, date '2025-01-01', date '2025-02-01', NULL, '2025-01-01', notes
FROM invoices WHERE id <= 5000
-- invoice lines inserted
INSERT INTO invoice_lines SELECT id + 1000000, invoice_id, description, quantity, amount FROM invoice_lines WHERE id <= 10000
-- documents inserted
INSERT INTO documents SELECT id + 1000000, tenant_id, project_id, invoice_id, md5('new' || id)::uuid, title, content, meta, tags, published, '2025-01-01'
FROM documents WHERE id <= 3000
-- events inserted
INSERT INTO events SELECT id + 1000000, tenant_id, user_id, kind, timestamptz '2024-12-01' + id * interval '1 minute', data FROM events WHERE id <= 20000
-- log written
INSERT INTO audit_log SELECT id + 1000000, tenant_id, actor_id, action, target, timestamptz '2025-01-01' + id * interval '1 second', address FROM audit_log WHERE id <= 20000
-- outbox filled
INSERT INTO outbox SELECT id + 1000000, tenant_id, topic, payload, '2025-01-01', NULL FROM outbox WHERE id <= 10000
-- outbox sent
UPDATE outbox SET sent_at = '2025-01-01' WHERE id > 1000000
-- sessions used
UPDATE sessions SET last_used_at = '2025-01-01' WHERE token < '40000000-0000-0000-0000-000000000000'
-- users seen
UPDATE users SET last_seen_at = '2025-01-01' WHERE id % 4 = 0
-- tasks closed
UPDATE tasks SET status = 'done', updated_at = '2025-01-01', closed_at = '2025-01-01' WHERE id > 1000000
-- metrics counted
UPDATE metrics SET value = value + 1 WHERE day < '2024-09-15'
-- comments deleted
DELETE FROM comments WHERE id > 1010000
