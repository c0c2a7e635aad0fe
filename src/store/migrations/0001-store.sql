-- Incidents and what belongs to them, checkpoints, what people did, and the outbox.
-- Event times are bigint milliseconds (`…_ms`); timestamptz is only for leases and back-off, which run on the database's clock.
-- Ids compare by bytes, so that an order by id is the same on every server.

create table incidents (
  id text collate "C" primary key,
  title text not null,
  severity text not null,
  status text not null,
  services jsonb not null,
  impact text not null,
  causes jsonb not null,
  opened_ms bigint not null,
  acknowledged_ms bigint,
  resolved_ms bigint,
  updated_ms bigint not null
);
create index incidents_newest on incidents (opened_ms desc, id);
create index incidents_unresolved on incidents (opened_ms desc, id) where status <> 'resolved';

create table timeline (
  id text collate "C" primary key,
  incident_id text collate "C" not null,
  at_ms bigint not null,
  kind text not null,
  service text not null,
  body text not null,
  ref text not null
);
create index timeline_of_incident on timeline (incident_id, at_ms, id);

create table anomalies (
  id text collate "C" primary key,
  incident_id text collate "C" not null,
  start_ms bigint not null,
  at_ms bigint not null,
  body jsonb not null
);
create index anomalies_of_incident on anomalies (incident_id, start_ms, id);

create table changes (
  id text collate "C" primary key,
  at_ms bigint not null,
  service text not null,
  body jsonb not null
);
create index changes_by_time on changes (at_ms, id);

-- One row per owner of a partition: where it goes on, and what it knew there.
create table checkpoints (
  role text not null,
  partition integer not null,
  next_offset bigint not null,
  state bytea not null,
  primary key (role, partition)
);
-- Detector state is packed floats: compressing it costs time and saves next to nothing.
alter table checkpoints alter column state set storage external;

-- What people did, for whoever follows along. `seq` has the order of the commits: see actions.ts.
create table actions (
  seq bigint primary key,
  incident_id text collate "C" not null,
  kind text not null,
  by_whom text not null,
  at_ms bigint not null
);

-- One row per notice. Within one incident and channel they go out in the order of `seq`, one after the other.
create table outbox (
  id text collate "C" primary key,
  seq bigint generated always as identity,
  incident_id text collate "C" not null,
  channel text not null,
  kind text not null,
  reason text not null,
  at_ms bigint not null,
  incident jsonb not null,
  status text not null default 'due' check (status in ('due', 'sent', 'dead')),
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  lease_owner text,
  lease_until timestamptz,
  last_error text not null default '',
  settled_at timestamptz
);
create unique index outbox_order on outbox (incident_id, channel, seq);
create index outbox_due on outbox (channel, due_at, seq) where status = 'due';

-- What a channel calls an incident (Slack channel and ts, ticket key), so that later notices find it.
create table threads (
  incident_id text collate "C" not null,
  channel text not null,
  external_id text not null,
  primary key (incident_id, channel)
);
