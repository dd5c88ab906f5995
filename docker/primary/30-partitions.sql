-- The coordinator's half of a partitioned table: PostgreSQL's own declaration says which server has which rows.
-- The other half is partition/10-orders.sql on each of the partition servers.
create extension postgres_fdw;
create server partition_1 foreign data wrapper postgres_fdw options (host 'partition-1', dbname 'shop');
create server partition_2 foreign data wrapper postgres_fdw options (host 'partition-2', dbname 'shop');
create user mapping for app server partition_1 options (user 'app', password 'app-secret');
create user mapping for app server partition_2 options (user 'app', password 'app-secret');

create table orders (
    customer bigint not null,
    number bigint not null,
    placed timestamptz not null default now(),
    cents bigint not null
) partition by hash (customer);
create foreign table orders_1 partition of orders for values with (modulus 2, remainder 0)
    server partition_1 options (table_name 'orders');
create foreign table orders_2 partition of orders for values with (modulus 2, remainder 1)
    server partition_2 options (table_name 'orders');
grant select, insert, update, delete on orders, orders_1, orders_2 to app;
