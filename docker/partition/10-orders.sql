-- One partition's rows of `orders`; the coordinator's half is primary/30-partitions.sql.
create role app login password 'app-secret';
create table orders (
    customer bigint not null,
    number bigint not null,
    placed timestamptz not null default now(),
    cents bigint not null,
    primary key (customer, number)
);
grant select, insert, update, delete on orders to app;
