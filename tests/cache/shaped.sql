-- Tables with many columns by which their one row can be found: each column makes a shape that pgweir has not met before.
do $$
begin
    for n in 0..19 loop
        execute format('create table shaped_%s (k int primary key, v bigint not null)', n);
        for c in 0..13 loop
            execute format('alter table shaped_%s add column c%s int not null default 0', n, c);
        end loop;
        execute format('insert into shaped_%s values (0, 0)', n);
    end loop;
end $$;
