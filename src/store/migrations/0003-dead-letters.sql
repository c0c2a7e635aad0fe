-- What could not be handled, where no topic keeps it: the newest ones, see dead-letters.ts. `value` is what came, untouched.
create table dead_letters (
  id bigint generated always as identity primary key,
  at_ms bigint not null,
  reason text not null,
  error text not null,
  topic text not null,
  partition integer not null,
  first_offset bigint not null,
  last_offset bigint not null,
  key text not null,
  content text not null,
  headers jsonb not null,
  origin_ms bigint not null,
  value bytea not null,
  replayed_ms bigint
);
alter table dead_letters alter column value set storage external;
