-- Who logs in: the application through pgweir, and the replicas.
create role app login password 'app-secret';
create role replicator login replication password 'replicator-secret';
grant all on schema public to app;
