-- What the checker's sessions read and write. A `v` tells which write a row is of: how often it was written, and by which operation.
create table kv (k int primary key, g int not null, mate int not null, v bigint not null);
create index on kv (g);
insert into kv select k, k / 8 * 2 + k % 2, k # 1, k from generate_series(0, 31) k;

create view shown as select k, v, 0::bigint as generation from kv;

create function bump(which int, operation bigint, out v bigint, out g int) language sql as
    'update kv set v = ((((kv.v >> 32) + 1) << 32) | operation) where k = which returning v, g';

create table account (id int primary key, pair int not null, balance bigint not null, v bigint not null);
create index on account (pair);
insert into account select id, id / 2, case id % 2 when 0 then 1000 else -1000 end, 0 from generate_series(0, 11) id;

create table customer (id int primary key, orders bigint not null, v bigint not null);
create table orders (id bigserial primary key, customer int not null references customer on delete cascade, v bigint not null);
create index on orders (customer);
insert into customer select id, 1, 0 from generate_series(0, 3) id;
insert into orders (customer, v) select id, 0 from generate_series(0, 3) id;

-- An order takes the value that it gives its customer.
create function ordered() returns trigger language plpgsql as $$
begin
    update customer set orders = orders + 1, v = ((((v >> 32) + 1) << 32) | new.v) where id = new.customer returning v into new.v;
    if not found then
        raise exception 'there is no customer %', new.customer;
    end if;
    return new;
end $$;
create trigger ordered before insert on orders for each row execute function ordered();

create table bulk (k int primary key, v bigint not null);
insert into bulk select k, 0 from generate_series(0, 15) k;

create table wide (k int primary key, c0 int);
insert into wide values (0, 0), (1, 0);

create table secret (k int primary key, v bigint not null);
insert into secret values (0, 0);
grant select on secret to guest;

-- What `kv` means along another path. It has a key, so that the stream can follow it: what is asked of `kv` depends on both.
create schema other;
create table other.kv as select k, g, mate, (-7)::bigint as v from kv;
alter table other.kv add primary key (k);
