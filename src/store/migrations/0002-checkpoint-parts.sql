-- A checkpoint's state beyond its first megabyte, in parts, so that neither side holds a whole large state as one statement, and a part
-- that has not changed is not written again. `parts` counts all of them; the first stays in checkpoints.state.
alter table checkpoints add column parts integer not null default 1;

create table checkpoint_parts (
  role text not null,
  partition integer not null,
  part integer not null,
  hash bytea not null,
  bytes bytea not null,
  primary key (role, partition, part)
);
alter table checkpoint_parts alter column bytes set storage external;
