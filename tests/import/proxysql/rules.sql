-- groups
INSERT INTO pgsql_replication_hostgroups (writer_hostgroup, reader_hostgroup, check_type) VALUES (10, 20, 'read_only');
INSERT INTO pgsql_servers (hostgroup_id, hostname, port, weight, use_ssl) VALUES
  (20, '10.0.0.2', 5432, 100, 0),
  (10, '10.0.0.1', 5432, 1, 0);
INSERT INTO pgsql_users (username, password, max_connections) VALUES ('app', 'app-secret', 200);
INSERT INTO pgsql_query_rules (rule_id, active, match_digest, destination_hostgroup, apply, comment) VALUES
  (10, 1, '^SELECT.*FOR UPDATE', 10, 1, 'locks'),
  (20, 1, '^SELECT', 20, 1, NULL);
INSERT INTO pgsql_query_rules (rule_id, active, username, flagIN, flagOUT, match_pattern, destination_hostgroup, cache_ttl, timeout, error_msg, log, apply)
VALUES
  (1, 1, 'report', 0, 7, NULL, NULL, NULL, 30000, NULL, NULL, 0),
  (2, 1, NULL, 7, NULL, 'orders\s+o', 20, 5000, NULL, NULL, 1, 1),
  (3, 1, NULL, 0, NULL, '^DROP', NULL, NULL, NULL, 'it''s not allowed', NULL, 1),
  (4, 0, NULL, 0, NULL, '^COPY', 10, NULL, NULL, NULL, NULL, 1),
  (5, 1, NULL, 0, NULL, '^(?!select)', 10, NULL, NULL, NULL, NULL, 1);
INSERT INTO pgsql_query_rules (rule_id, active, client_addr, mirror_hostgroup, digest) VALUES (6, 1, '10.1.%', 20, NULL), (7, 1, NULL, 99, '0xABC');
LOAD PGSQL QUERY RULES TO RUNTIME;
