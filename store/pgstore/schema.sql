-- What pgstore keeps, version 1. Times are in milliseconds since 1970 by the clock of
-- the node that wrote them, but for leases, which know the engine's clock alone.

-- A node and its lease. Each join under its name is a life of its own.
create table node (
  name    text primary key,
  life    bigint not null,
  address text not null,
  digest  text not null,
  expires timestamptz not null
);

-- Who has an app. Its epoch is the number of its latest claim: epoch + 1 of the row,
-- under the row's lock. A sequence is drawn before the lock is had, and goes backward.
create table app (
  name  text primary key,
  node  text not null, -- empty: whoever comes first
  epoch bigint not null
);

create function join_fleet(who text, its_address text, its_digest text, lease interval)
  returns bigint language plpgsql as $$
declare
  l bigint;
begin
  insert into node as n values (who, 1, its_address, its_digest, clock_timestamp() + lease)
    on conflict (name) do update
      set life = n.life + 1, address = its_address, digest = its_digest, expires = clock_timestamp() + lease
      where n.expires <= clock_timestamp()
    returning n.life into l;
  return l; -- null: its lease still runs
end $$;

-- The view of the fleet that follows in the same transaction is of a later snapshot,
-- and the row's lock holds off a claim till then: one that came before is in the view,
-- one that comes after sees the new lease.
create function renew(who text, l bigint, its_address text, its_digest text, lease interval)
  returns boolean language plpgsql as $$
begin
  update node set address = its_address, digest = its_digest, expires = clock_timestamp() + lease
    where name = who and life = l and expires > clock_timestamp();
  return found;
end $$;

create function claim(who text, l bigint, what text, out epoch bigint, out taken_by text, out remains interval)
  language plpgsql as $$
declare
  a app;
  until timestamptz;
begin
  if not exists (select from node where name = who and life = l and expires > clock_timestamp()) then
    return; -- without an epoch: its own lease is over
  end if;
  perform set_config('lock_timeout', '1s', true);
  insert into app values (what, '', 0) on conflict do nothing;
  -- Waits for the writes of the old epoch that are on their way.
  select * into a from app where name = what for no key update;
  -- Only now: its own renewals must not wait for those writes too.
  perform from node where name = who and life = l and expires > clock_timestamp() for share;
  if not found then
    return;
  end if;
  if a.node <> who then
    -- Locked before it is looked at: a renewal may be under way.
    select expires into until from node where name = a.node for share;
    if until > clock_timestamp() then
      taken_by := a.node;
      remains := until - clock_timestamp();
      return;
    end if;
  end if;
  update app set node = who, epoch = a.epoch + 1 where name = what;
  epoch := a.epoch + 1;
end $$;

-- Ends the sessions of a dead owner that hold up a claim: a process that was stopped
-- between two packets of a write holds its locks for as long as its kernel answers.
create function evict_owner(what text) returns bigint language sql as $$
  select count(pg_terminate_backend(s.pid))
  from app a, pg_stat_activity s
  where a.name = what
    and not exists (select from node n where n.name = a.node and n.expires > clock_timestamp())
    and starts_with(s.application_name, 'apnsbridge:' || a.node || ':')
    and s.application_name <> current_setting('application_name')
    and exists (select from pg_locks k where k.pid = s.pid and k.relation = 'app'::regclass and k.granted)
$$;

-- First in each transaction that writes for an app. Only `for share` holds off a claim:
-- `for key share` lets it pass, as a claim leaves the key alone. The one in use is that of
-- rounds.sql.
create function fence(what text, who text, e bigint) returns void language plpgsql as $$
begin
  perform from app where name = what and node = who and epoch = e for share;
  if not found then
    raise exception 'app % is not of node % in epoch %', what, who, e using errcode = 'AP001';
  end if;
end $$;

create table ledger (
  app     text not null,
  key     bytea not null,
  value   bytea not null,
  expires bigint not null,
  primary key (app, key)
);

-- An app's list of dead devices, and what of it can be given again. The row in
-- feedback_app is held by each change: revisions come in the order of commits.
create table feedback_app (
  app      text primary key,
  revision bigint not null default 0,
  entries  bigint not null default 0,
  turn     bigint not null default 0,
  given    bigint not null default 0
);

create table feedback (
  app      text not null,
  token    bytea not null,
  found    bigint not null,
  since    bigint not null,
  revision bigint not null,
  primary key (app, token)
);
create unique index feedback_revision on feedback (app, revision);

create table given (
  app      text not null,
  token    bytea not null,
  found    bigint not null,
  since    bigint not null,
  revision bigint not null,
  primary key (app, token)
);
create unique index given_revision on given (app, revision);

-- Notifications that wait. A row of the log is what one Put added to a line, with a bit
-- for each record that is done or was moved to its device's queue. No row for each
-- notification: that is three to five times slower. IDs are a turn of the sequence, drawn
-- by each owner behind its claim, and a number within it: given once.
create sequence spool_turn;

create table spool_log (
  app         text not null,
  environment text not null,
  topic       text not null,
  first       bigint not null, -- ID; the others follow
  records     int not null,
  soonest     bigint not null, -- seconds since 1970 at which one expires; 0: none does
  since       bigint not null, -- seconds since 1970
  gone        bytea not null,
  heads       bytea not null,  -- of all: token, expiry, length of the body
  bodies      bytea not null,
  primary key (app, environment, topic, first)
) with (autovacuum_vacuum_scale_factor = 0.01);
-- Out of line as they are: a part of the bodies is read without the rest, and a change of
-- the bits rewrites neither.
alter table spool_log alter column heads set storage external;
alter table spool_log alter column bodies set storage external;

-- A row for each notification of a device that waits; they are few.
create table spool_queue (
  app         text not null,
  environment text not null,
  topic       text not null,
  device      bytea not null, -- length of the token as u16, and the token: shorter ones first
  id          bigint not null,
  expires     bigint not null,
  since       bigint not null,
  flags       bytea not null,
  body        bytea not null,
  primary key (app, environment, topic, device, id)
) with (autovacuum_vacuum_scale_factor = 0.01);
alter table spool_queue alter column body set storage external;
